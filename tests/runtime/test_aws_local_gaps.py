"""What moto alone gets wrong, which is why the practice account stands in front of it.

A test that fails here means that moto was repaired: then a part of `course_lib.finops.cloud` can go, or a line of the
table in the chapter "AWS in fifteen minutes".
"""

from collections.abc import Iterator

import pytest

from course_lib.catalog import accelerator
from course_lib.runtime import LocalAws, NotEmulatedError, local_aws

ONE = {"ImageId": "ami-12345678", "MinCount": 1, "MaxCount": 1}


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAws]:
    with local_aws() as endpoint:
        yield endpoint


def test_the_memory_of_trainium2_is_still_wrong(aws: LocalAws) -> None:
    """Oracle: the catalog's row, which cites the Neuron documentation."""
    (row,) = aws.client("ec2").describe_instance_types(InstanceTypes=["trn2.48xlarge"])["InstanceTypes"]
    mebibytes = row["NeuronInfo"]["NeuronDevices"][0]["MemoryInfo"]["SizeInMiB"]
    assert mebibytes * 2**20 > 5 * accelerator("trainium2").memory_bytes


def test_the_only_spot_price_is_still_a_constant_of_2006(aws: LocalAws) -> None:
    """Oracle: the date; EC2 opened in 2006 and had no accelerators."""
    history = aws.client("ec2").describe_spot_price_history(InstanceTypes=["p5.48xlarge"])["SpotPriceHistory"]
    assert {(row["SpotPrice"], row["Timestamp"].year) for row in history} == {("0.00001", 2006)}


def test_a_client_token_still_does_not_prevent_a_second_machine(aws: LocalAws) -> None:
    """Oracle: the EC2 API reference, by which the same token names the same instance."""
    ec2 = aws.client("ec2")
    first, second = (
        ec2.run_instances(**ONE, InstanceType="inf2.xlarge", ClientToken="same")["Instances"][0]["InstanceId"]
        for _ in range(2)
    )
    assert first != second


def test_an_instance_type_that_does_not_exist_is_still_accepted(aws: LocalAws) -> None:
    """Oracle: the EC2 API reference, by which the call fails with InvalidInstanceType."""
    machine = aws.client("ec2").run_instances(**ONE, InstanceType="zzz9.bogus")["Instances"][0]
    assert machine["InstanceType"] == "zzz9.bogus"


def test_invented_credentials_still_may_do_anything(aws: LocalAws) -> None:
    """Oracle: the EC2 API reference, by which an access key that nobody issued fails with AuthFailure."""
    ec2 = aws.client("ec2")
    assert ec2._request_signer._credentials.access_key == "local-only"
    assert ec2.run_instances(**ONE, InstanceType="p5.48xlarge")["Instances"]


def test_a_budget_still_never_sees_any_spending(aws: LocalAws) -> None:
    """Oracle: a p5.48xlarge is running in this account, so that something is being spent."""
    aws.client("ec2").run_instances(**ONE, InstanceType="p5.48xlarge")
    budgets, account = aws.client("budgets"), aws.client("sts").get_caller_identity()["Account"]
    limit = {"Amount": "1", "Unit": "USD"}
    budget = {"BudgetName": "b", "BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": limit}
    budgets.create_budget(AccountId=account, Budget=budget)
    spend = budgets.describe_budget(AccountId=account, BudgetName="b")["Budget"]["CalculatedSpend"]["ActualSpend"]
    assert float(spend["Amount"]) == 0


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("pricing", "get_products", {"ServiceCode": "AmazonEC2"}),
        ("service-quotas", "list_service_quotas", {"ServiceCode": "ec2"}),
        ("ce", "get_anomalies", {"DateInterval": {"StartDate": "2026-01-01"}}),
    ],
)
def test_prices_quotas_and_anomalies_are_still_missing(
    aws: LocalAws, service: str, operation: str, arguments: dict[str, object]
) -> None:
    """Oracle: the AWS API references, by which each of these calls is answered."""
    with pytest.raises(NotEmulatedError):
        getattr(aws.client(service), operation)(**arguments)
