"""Budgets that are computed. Oracle: hours by hand times the catalog's price; the rules are AWS Budgets' guide."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError, ParamValidationError

from course_lib.catalog import instance
from course_lib.finops.cloud.budgets import period

HOUR = timedelta(hours=1)
ME = "123456789012"
TRN1 = instance("trn1.2xlarge").usd_per_hour()


@pytest.fixture
def budgets(account):
    return account.client("budgets")


@pytest.fixture
def topic(account):
    """An SNS topic, and what it has told so far."""
    sns, sqs = account.client("sns"), account.client("sqs")
    arn = sns.create_topic(Name="money")["TopicArn"]
    url = sqs.create_queue(QueueName="money")["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue)

    def told():
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"])["Message"] for message in messages]

    return arn, told


def put(budgets, limit, *thresholds, address=None, kind="ACTUAL", **more):
    budget = {"BudgetName": "lab", "BudgetType": "COST", "TimeUnit": "DAILY", **more}
    budget["BudgetLimit"] = {"Amount": str(limit), "Unit": "USD"}
    notifications = [
        {
            "Notification": {
                "NotificationType": kind,
                "ComparisonOperator": "GREATER_THAN",
                "Threshold": threshold,
                "ThresholdType": "PERCENTAGE",
            },
            "Subscribers": [{"SubscriptionType": "SNS", "Address": address}],
        }
        for threshold in thresholds
    ]
    budgets.create_budget(AccountId=ME, Budget=budget, NotificationsWithSubscribers=notifications)


def spend(budgets):
    told = budgets.describe_budget(AccountId=ME, BudgetName="lab")["Budget"]["CalculatedSpend"]
    return float(told["ActualSpend"]["Amount"])


def at(account, hour):
    """Turn the clock to the next day's hour."""
    now = account.now()
    account.advance(now.replace(hour=hour, minute=0, second=0) + timedelta(days=1) - now)


def test_spend_is_computed_late(account, budgets, launch):
    at(account, 0)
    account.reset()  # refreshes count from here: 8, 16, 24 o'clock
    put(budgets, 100, TimeUnit="MONTHLY")
    launch()
    account.advance(7 * HOUR)
    assert spend(budgets) == 0.0
    account.advance(10 * HOUR)  # refreshed at 16 o'clock, with what was known of 8
    assert spend(budgets) == pytest.approx(8 * TRN1, abs=0.01)


def test_an_alert_comes_once_and_after_the_money_is_spent(account, budgets, launch, topic):
    arn, told = topic
    put(budgets, 5.0, 80, 100, address=arn, TimeUnit="MONTHLY")
    launch(InstanceType="p5.48xlarge")
    account.advance(4 * HOUR)
    assert told() == []
    account.advance(30 * HOUR)
    messages = told()
    assert len(messages) == 2
    assert all("Budget lab: actual spend" in message for message in messages)
    account.advance(30 * HOUR)
    assert told() == []


def test_a_budget_of_one_team_counts_its_instances(account, budgets, launch):
    put(budgets, 100, TimeUnit="MONTHLY", CostFilters={"TagKeyValue": ["user:team$speech"]})
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "team", "Value": "speech"}]}]
    ends = {"UserData": "#!/bin/sh\nshutdown +59\n", "InstanceInitiatedShutdownBehavior": "terminate"}
    launch(TagSpecifications=tags, **ends)
    launch(**ends)
    account.advance(48 * HOUR)
    assert spend(budgets) == pytest.approx(TRN1, abs=0.01)


def test_a_budget_can_be_changed_and_asked_for_its_subscribers(account, budgets, topic):
    arn, _ = topic
    put(budgets, 100, 80, address=arn)
    new = {
        "BudgetName": "lab",
        "BudgetType": "COST",
        "TimeUnit": "DAILY",
        "BudgetLimit": {"Amount": "7", "Unit": "USD"},
    }
    budgets.update_budget(AccountId=ME, NewBudget=new)
    assert float(budgets.describe_budget(AccountId=ME, BudgetName="lab")["Budget"]["BudgetLimit"]["Amount"]) == 7
    (notification,) = budgets.describe_notifications_for_budget(AccountId=ME, BudgetName="lab")["Notifications"]
    found = budgets.describe_subscribers_for_notification(AccountId=ME, BudgetName="lab", Notification=notification)
    assert found["Subscribers"] == [{"SubscriptionType": "SNS", "Address": arn}]
    with pytest.raises(ClientError, match="NotFoundException"):
        budgets.update_budget(AccountId=ME, NewBudget={**new, "BudgetName": "other"})
    ends = datetime(2027, 6, 1, tzinfo=UTC)
    budgets.update_budget(AccountId=ME, NewBudget={**new, "TimePeriod": {"End": ends}})
    assert budgets.describe_budget(AccountId=ME, BudgetName="lab")["Budget"]["TimePeriod"]["End"] == ends


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("DAILY", ("2026-12-31", "2027-01-01")),
        ("MONTHLY", ("2026-12-01", "2027-01-01")),
        ("QUARTERLY", ("2026-10-01", "2027-01-01")),
        ("ANNUALLY", ("2026-01-01", "2027-01-01")),
    ],
)
def test_a_period_ends_where_the_calendar_says(unit, expected):
    found = period(unit, datetime(2026, 12, 31, 17, 5, tzinfo=UTC))
    assert tuple(str(moment.date()) for moment in found) == expected


def test_a_threshold_is_a_percentage_of_the_limit(account, budgets, launch, topic):
    arn, told = topic
    put(budgets, 100_000, 80, address=arn, TimeUnit="MONTHLY")
    launch(InstanceType="p5.48xlarge")
    account.advance(24 * HOUR)
    assert spend(budgets) > 80
    assert told() == []


def test_a_forecast_goes_on_at_the_periods_rate(account, budgets, launch, topic):
    arn, told = topic
    launch()
    account.advance(24 * HOUR)
    put(budgets, 30 * TRN1, 100, address=arn, TimeUnit="MONTHLY", kind="FORECASTED")
    account.advance(8 * HOUR)
    assert spend(budgets) < 30 * TRN1
    (message,) = told()
    assert "forecasted spend" in message


@pytest.mark.parametrize("amount", ["-5", "five", "1e3", "", "NaN"])
def test_a_limit_that_is_no_amount_is_refused_as_aws_words_it(budgets, amount):
    """The pattern is the service model's own, which botocore knows and does not check."""
    pattern = budgets.meta.service_model.shape_for("NumericValue").metadata["pattern"]
    said = rf"InvalidParameterException.*Value '{amount}' at 'budget.budgetLimit.amount'.*{re.escape(pattern)}"
    if amount:  # botocore itself refuses an empty text
        with pytest.raises(ClientError, match=said):
            put(budgets, amount)
    else:
        with pytest.raises(ParamValidationError):
            put(budgets, amount)
    assert budgets.describe_budgets(AccountId=ME)["Budgets"] == []
    put(budgets, 5)
    new = {"BudgetName": "lab", "BudgetType": "COST", "TimeUnit": "DAILY"}
    if amount:
        with pytest.raises(ClientError, match=said):
            budgets.update_budget(AccountId=ME, NewBudget={**new, "BudgetLimit": {"Amount": amount, "Unit": "USD"}})


def test_the_history_tells_what_each_period_cost(account, budgets, launch):
    at(account, 0)
    put(budgets, 100)
    launch()
    account.advance(60 * HOUR)  # two and a half days
    told = budgets.describe_budget_performance_history(AccountId=ME, BudgetName="lab")["BudgetPerformanceHistory"]
    amounts = [float(one["ActualAmount"]["Amount"]) for one in told["BudgetedAndActualAmountsList"]]
    known = 60 - 8  # the bill is eight hours late
    assert amounts == pytest.approx([(known - 48) * TRN1, 24 * TRN1, 24 * TRN1], abs=0.01)
    assert {one["BudgetedAmount"]["Amount"] for one in told["BudgetedAndActualAmountsList"]} == {"100"}


def test_tags_and_subscribers_are_kept(budgets):
    tags = [{"Key": "managed-by", "Value": "me"}]
    limit = {"BudgetLimit": {"Amount": "5", "Unit": "USD"}}
    budget = {"BudgetName": "lab", "BudgetType": "COST", "TimeUnit": "DAILY", **limit}
    budgets.create_budget(AccountId=ME, Budget=budget, ResourceTags=tags)
    budget_arn = f"arn:aws:budgets::{ME}:budget/lab"
    assert budgets.list_tags_for_resource(ResourceARN=budget_arn)["ResourceTags"] == tags
    notification = {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 80.0}
    first, second = ({"SubscriptionType": "EMAIL", "Address": f"{name}@example.org"} for name in ("ada", "ben"))
    asked = {"AccountId": ME, "BudgetName": "lab", "Notification": notification}
    budgets.create_notification(**asked, Subscribers=[first])
    budgets.create_subscriber(**asked, Subscriber=second)
    assert budgets.describe_subscribers_for_notification(**asked)["Subscribers"] == [first, second]
    with pytest.raises(ClientError, match="DuplicateRecordException"):
        budgets.create_subscriber(**asked, Subscriber=second)
