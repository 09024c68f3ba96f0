"""How every chart looks: one colour for one thing, one mark for one design, and the same bytes in every run."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from accel.design import Design
from accel.sim import causes

INK, SOFT, FAINT, GRID = "#1a1a1a", "#5b6168", "#a8adb3", "#e3e6e9"
# Told apart by readers with any colour vision (after Okabe and Ito, and Tol); what is read from DRAM, multiplied, or
# lost has one colour, as energy and as time.
COLOURS = {
    "DRAM": "#0072B2",
    "SRAM": "#E69F00",
    "compute": "#009E73",
    "static": "#7F7F7F",
    causes.ARRAY: "#009E73",
    causes.BROADCAST: "#CC6677",
    causes.FILL: "#A6D96A",
    causes.READ: "#0072B2",
    causes.UNPACK: "#8DC6EE",
    causes.DECODE: "#882255",
    causes.ELEMENTS: "#F0E442",
    causes.WRITE: "#332288",
    causes.PACK: "#AA99DD",
    causes.PROGRAM: "#D55E00",
    causes.LATENCY: "#D9D9D9",
}
# The forms of marks, one a design; from the second round on they are hollow in the middle of a ring.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h", "<", ">", "p", "*")
LONGEST_NAME = 40
KINDS = ("png", "svg")
DPI = 150  # of a PNG
STYLE: Any = {
    "svg.hashsalt": "accel",
    "figure.dpi": DPI,  # whatever measures texts before a PNG is drawn then measures those that it draws
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#6b7178",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "xtick.color": "#4a4f55",
    "ytick.color": "#4a4f55",
    "text.parse_math": False,  # a $ in the name of a file is a $
}


def saved(make: Callable[[], Figure | None], kinds: Sequence[str] = KINDS) -> dict[str, bytes]:
    """What `make` draws, by kind; nothing if it draws nothing."""
    found = {}
    with rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a box stands for it in the title
        if (chart := make()) is None:
            return {}
        FigureCanvasAgg(chart)
        if engine := chart.get_layout_engine():  # once, since it takes most of the time; with one, each is drawn twice
            engine.execute(chart)
            chart.set_layout_engine(None)
        for kind in kinds:
            file = io.BytesIO()
            options: Any = {"dpi": DPI} if kind == "png" else {"metadata": {"Date": None}}
            chart.savefig(file, format=kind, **options)
            found[kind] = file.getvalue()
    return found


def plain_numbers(axis: Any) -> None:
    """Of a logarithmic axis: 1, 2, 5, 10 as they are written, since formulas are off."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=20))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(FuncFormatter(lambda *_: ""))


def short(name: str, letters: int = LONGEST_NAME) -> str:
    """A name that leaves room for the chart beside it; those of files may be long."""
    return name if len(name) <= letters else name[: letters - 3] + "..."


def entitle(chart: Figure, title: str) -> None:
    """The title of a chart of several panels."""
    chart.suptitle(title, x=0.01, ha="left", fontsize=10.5, fontweight="bold")


def lines_of_bars(panel: Any, names: Sequence[str], is_named: bool = True) -> None:
    """Names beside bars that lie, the first on top, unless a panel to the left has them."""
    panel.set_yticks(range(len(names)) if is_named else [], names if is_named else [])
    panel.set_ylim(len(names) - 0.4, -0.6)
    panel.tick_params(axis="y", length=0)
    panel.grid(axis="x")


def marks(designs: Sequence[Design]) -> dict[str, dict[str, Any]]:
    """The form of each design's mark by its name, as arguments of `plot`."""
    sizes = {"D": 6.5, "*": 10.0, "P": 8.5, "X": 8.5}
    found = {}
    for number, design in enumerate(designs):
        form = MARKERS[number % len(MARKERS)]
        style = "none" if number >= len(MARKERS) else "full"
        found[design.name] = {"marker": form, "markersize": sizes.get(form, 7.5), "fillstyle": style}
    return found


def mark(panel: Any, at: tuple[float, float], on_front: bool, form: Mapping[str, Any]) -> None:
    """A row's mark: dark on the front, faint elsewhere."""
    colour, above = (INK, 4) if on_front else (FAINT, 3)
    panel.plot(*at, color=colour, linestyle="none", zorder=above, **form)


def name_marks(panel: Any, forms: Mapping[str, Mapping[str, Any]]) -> None:
    """Each design's mark for the legend."""
    for name, form in forms.items():
        panel.plot([], [], color=SOFT, linestyle="none", label=name, **form)


def heading(design: Design) -> str:
    """A design in a line."""
    return f"{design.name}\n{design.rows} x {design.cols}, {design.clock_mhz:g} MHz"
