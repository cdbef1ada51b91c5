"""What an operator does to the accounts of a cluster, as `aldis user` does it."""

from aldis.core.testing.cluster import Cluster
from aldis.launcher.accounts import Accounts


async def manage(cluster: Cluster, action: str, account: str, password: str | None = None) -> None:
    """Add, passwd, disable, enable or delete an account; raises `Failure`."""
    await Accounts(await cluster.connects()).answer({"action": action, "account": account, "password": password})
