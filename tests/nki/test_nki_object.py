"""Oracle: what the same class does without NKIObject when its fields are annotated (the dataclass documentation)."""

from dataclasses import dataclass

import course_lib.nki.language as nl


def test_a_data_class_whose_fields_are_all_unannotated_takes_them_by_name():
    @dataclass
    class Section(nl.NKIObject):
        offset = None
        length = None

    made = Section(length=3)
    assert (made.offset, made.length) == (None, 3)


def test_constants_and_methods_do_not_become_fields():
    class Section(nl.NKIObject):
        LIMIT = 128

        def half(self):
            return self.LIMIT // 2

    assert Section().half() == 64
    assert not getattr(Section, "__annotations__", {})
