"""Routing by modality. Oracle: plain Python over each row by itself, and shuffled modalities as the null."""

from collections import Counter

import pytest
import torch

from course_lib.models import GPT
from course_lib.moe import MoEError, dense_twin, moe_layers
from course_lib.moe.analysis import chance_information, mutual_information
from course_lib.moe.multimodal import ImageTextModel, check_modality, routing_by_modality, table_of
from tests.moe.multimodal.cases import GROUPS, IMAGE, SHAPE, config, some_rows


@pytest.mark.parametrize("image", [IMAGE, None], ids=["images", "text"])
def test_counts_are_those_of_a_loop_over_rows(image):
    """Oracle: Counter over the routers' decisions for one row at a time, the first 16 tokens being patches."""
    rows = some_rows(7, image=image)
    model = config(image=image).build_model()
    found = routing_by_modality(model, rows, batch=3)
    loads: Counter[tuple[int, int, int]] = Counter()
    sums = torch.zeros(2, 2, 4, dtype=torch.float64)
    entropy, tokens = torch.zeros(2, 2, dtype=torch.float64), torch.zeros(2)
    patches = 16 if image else 0
    for number in range(7):
        row = rows.rows(number, number + 1)
        with torch.no_grad():
            model(row.tokens, row.pixels)
        for place in range(row.tokens.shape[1]):
            kind = 0 if place < patches else 1
            tokens[kind] += 1
            for depth, layer in enumerate(moe_layers(model)):
                loads[depth, kind, int(layer.last_routing.experts[place, 0])] += 1
                p = layer.last_routing.probabilities[place].double()
                sums[depth, kind] += p
                entropy[depth, kind] -= (p * p.log()).sum()
    for place, count in enumerate(found.loads.flatten().tolist()):
        assert count == loads[place // 8, place // 4 % 2, place % 4]
    seen = [kind for kind in range(2) if tokens[kind]]
    torch.testing.assert_close(found.probabilities[:, seen], (sums / tokens[:, None])[:, seen])
    torch.testing.assert_close(found.local[:, seen], (entropy / tokens)[:, seen])


def test_groups_tell_the_modality_and_shuffled_modalities_tell_nothing():
    """Oracle: the entropy of 16 patches to 7 words in bits; Miller's bias for labels drawn from a hat."""
    model = config(moe=GROUPS, image_experts=2).build_model()
    found = routing_by_modality(model, some_rows(300))
    p = torch.tensor([16 / 23, 7 / 23], dtype=torch.float64)
    shuffled = found.modality[torch.randperm(len(found.modality), generator=torch.Generator().manual_seed(0))]
    for layer in range(2):
        assert mutual_information(found.loads[layer]) == pytest.approx(float(-(p * p.log2()).sum()))
        by_chance = table_of(found.choices[layer], shuffled, 4)
        assert torch.equal(by_chance.sum(0), found.loads[layer].sum(0))
        assert mutual_information(by_chance) < 8 * chance_information(by_chance)


@pytest.mark.parametrize(
    ("modality", "told"),
    [
        (torch.tensor([0, 1, 2]), "modality=2 is not known. Remedy: use 0 for image, 1 for text"),
        (torch.tensor([0, -1, 1]), "modality=-1 is not known"),
        (torch.tensor([0, 1]), r"modality='\(2,\) of torch.int64' must be \(3,\) of torch.int64"),
        (torch.tensor([0.0, 1.0, 1.0]), "of torch.float32' must be"),
    ],
    ids=["two", "negative", "short", "float"],
)
def test_an_unknown_modality_is_refused(modality, told):
    for call in (lambda: check_modality(modality, 3), lambda: table_of(torch.zeros(3, 1).long(), modality, 4)):
        with pytest.raises(MoEError, match=told):
            call()


def test_a_dense_model_has_nothing_to_count():
    with pytest.raises(MoEError, match="model='ImageTextModel' has no experts"):
        routing_by_modality(ImageTextModel(GPT(dense_twin(SHAPE)), IMAGE), some_rows())
