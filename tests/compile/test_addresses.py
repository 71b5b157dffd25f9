from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelgrid.compile.addresses import FIRST_PORT, PORTS, NoRoomError, assign_addresses, assign_ports

NAMES = st.lists(st.text(min_size=1, max_size=12), unique=True, max_size=60)


@given(NAMES, st.sets(st.integers(1, 65535)))
def test_ports_are_distinct_in_range_and_not_taken(names: list[str], taken: set[int]) -> None:
    ports = assign_ports(names, taken)
    assert list(ports) == names
    assert len(set(ports.values())) == len(names)
    assert all(FIRST_PORT <= port < FIRST_PORT + PORTS and port not in taken for port in ports.values())


@given(NAMES, st.text(min_size=1, max_size=12))
def test_a_model_added_at_the_end_moves_no_other(names: list[str], added: str) -> None:
    before = assign_addresses(names, "10.133.0.0/24")
    after = assign_addresses([*names, *([added] if added not in names else [])], "10.133.0.0/24")
    assert {name: after[name] for name in names} == before


@given(NAMES)
def test_addresses_lie_in_the_subnet_and_leave_out_gateway_and_broadcast(names: list[str]) -> None:
    network = ip_network("10.133.0.0/24")
    addresses = [ip_address(text) for text in assign_addresses(names, str(network)).values()]
    assert all(address in network for address in addresses)
    assert not {network[0], network[1], network[-1]} & set(addresses)


def test_a_full_subnet_is_an_error_and_no_endless_search() -> None:
    with pytest.raises(NoRoomError, match="239 places"):
        assign_addresses([f"m{number}" for number in range(240)], "10.133.0.0/24")
