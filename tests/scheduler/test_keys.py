"""Which calls share a bucket."""

from spapi_async.scheduler import Account, BucketKey


def test_selling_partners_have_buckets_of_their_own(make_operation) -> None:
    """The same operation of another selling partner, application or region is counted separately."""
    operation = make_operation()
    accounts = [
        Account("app", "seller", "https://eu"),
        Account("app", "other", "https://eu"),
        Account("other", "seller", "https://eu"),
        Account("app", "seller", "https://na"),
    ]
    assert len({BucketKey.of(account, operation) for account in accounts}) == 4


def test_grantless_operations_are_counted_per_application(make_operation) -> None:
    """A grantless operation has no selling partner: all selling partners of an application share its bucket."""
    operation = make_operation(grantless_scope="sellingpartnerapi::notifications")
    keys = {BucketKey.of(Account("app", partner, "https://eu"), operation) for partner in ("one", "two")}
    assert keys == {BucketKey(Account("app", "", "https://eu"), "test_v0.get_order")}
