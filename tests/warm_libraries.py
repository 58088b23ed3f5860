"""What every process of `tests.warm` has imported: importing this takes seconds, once."""

import gc

gc.disable()

import matplotlib.backends.backend_agg  # noqa: E402
import matplotlib.figure  # noqa: E402
import matplotlib.font_manager  # noqa: E402
import torch._dynamo  # noqa: E402, F401

import trompe.methods.adversarial_style  # noqa: E402
import trompe.methods.ast  # noqa: E402
import trompe.methods.johnson  # noqa: E402
import trompe.tasks.evaluate  # noqa: E402
import trompe.tasks.reproduce  # noqa: E402
import trompe.tasks.sample  # noqa: E402
import trompe.tasks.stylize  # noqa: E402
import trompe.tasks.sweep  # noqa: E402
import trompe.tasks.train  # noqa: E402, F401

matplotlib.font_manager.findfont("DejaVu Sans")
gc.freeze()  # or each process would copy all of it at its first collection
gc.enable()
