from __future__ import annotations

import json
from dataclasses import replace

from modelgrid.compile.gpu_table import gpu_data, gpu_lines
from modelgrid.compile.placement import Resident, place
from tests.compile.placements import GIB, always, gpus, on_demand, sharing


def test_a_table_shows_for_each_gpu_what_it_holds() -> None:
    placement = place(
        [
            sharing("llama", 12),
            sharing("chat", 12, resident=Resident.ON_DEMAND),
            replace(on_demand("large-model", 30), estimated=True),
            on_demand("small", 1),
            always("unknown", None),
        ],
        gpus(48),
        reserve=GIB,
    )
    assert gpu_lines(placement.gpus) == [
        "GPU 0 test: 48GiB, 1GiB in reserve, always 12GiB, at most 43GiB, 4GiB left, shares 0.50; 1 of unknown size",
        "  llama        always     12GiB  0.25",
        "  unknown      always     ?",
        "  large-model  on-demand  30GiB        estimated, alternates",
        "  chat         on-demand  12GiB  0.25  alternates",
        "  small        on-demand  1GiB",
    ]


def test_a_gpu_without_models_is_unused() -> None:
    assert gpu_lines(place([], gpus(48)).gpus) == ["GPU 0 test: 48GiB, unused"]


def test_a_long_table_is_cut_where_asked() -> None:
    placement = place([always(name, size) for name, size in (("a", 3), ("b", 2), ("c", 1))], gpus(48))
    assert gpu_lines(placement.gpus, limit=1)[1:] == ["  a  always  3GiB", "  and 2 more models"]
    assert len(gpu_lines(placement.gpus)) == 4


def test_the_data_is_what_json_has_and_complete() -> None:
    placement = place([sharing("a", 12), on_demand("b", None)], gpus(48))
    (data,) = gpu_data(placement.gpus)
    assert json.loads(json.dumps(data)) == data
    assert data == {
        "index": 0,
        "uuid": "GPU-0",
        "name": "test",
        "vendor": "nvidia",
        "memory": 48 * GIB,
        "reserve": 0,
        "always": 12 * GIB,
        "peak": 12 * GIB,
        "free": 36 * GIB,
        "share": 25,
        "models": [
            {
                "model": "a",
                "memory": 12 * GIB,
                "share": 25,
                "resident": "always",
                "estimated": False,
                "alternates": False,
            },
            {
                "model": "b",
                "memory": None,
                "share": None,
                "resident": "on-demand",
                "estimated": False,
                "alternates": False,
            },
        ],
    }
