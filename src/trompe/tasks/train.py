"""The train task: config to run folder."""

from functools import partial

from omegaconf import DictConfig

from trompe.engine.interrupt import catch_signals
from trompe.runs.run_folder import RunFolder
from trompe.training.build import build
from trompe.training.lightning import quiet_lightning
from trompe.training.recorded import end_at_once, recorded, report
from trompe.training.session import open_session


def train(cfg: DictConfig) -> RunFolder:
    """Train `cfg`, or resume the run it names.

    Raises:
        UserError: for anything in the config, the data or the run folder that cannot work.
        KeyboardInterrupt: on Ctrl-C or SIGTERM, after the run's status has been written.
    """
    quiet_lightning()
    catch_signals()
    session = open_session(cfg)
    job = build(session)
    with recorded(job.beginning, job.trackers):
        job.fit(session.checkpoint, partial(end_at_once, job.beginning))
    if job.beginning.is_first:
        report(session.run, job.method, job.data)
    return session.run
