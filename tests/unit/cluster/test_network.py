from __future__ import annotations

import pytest

from cluster import network
from cluster.settings import BRIDGE, BRIDGE_MAC, GATEWAY


@pytest.mark.parametrize("there", [None, "5: penstock0"])
def test_the_bridge_has_a_hardware_address_of_its_own(monkeypatch: pytest.MonkeyPatch, there: str | None) -> None:
    """Else it is that of the port with the lowest one, and pods lose their gateway when that port goes."""
    done: list[list[str]] = []
    monkeypatch.setattr(network, "attempt", lambda _: there)
    monkeypatch.setattr(network, "run", lambda command, **_: done.append(command))
    network.up()
    mine = ["ip", "link", "set", BRIDGE, "address", BRIDGE_MAC]
    assert mine in done
    assert done.index(mine) < done.index(["ip", "addr", "replace", f"{GATEWAY}/24", "dev", BRIDGE])
    made = ["ip", "link", "add", BRIDGE, "type", "bridge"]
    assert (made in done) is (there is None)


def test_the_address_is_nobodys_and_says_whose_gateway_it_is() -> None:
    parts = [int(each, 16) for each in BRIDGE_MAC.split(":")]
    assert parts[0] & 3 == 2, "locally administered, of one station"
    assert ".".join(map(str, parts[2:])) == GATEWAY
