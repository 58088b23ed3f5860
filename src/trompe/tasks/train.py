"""The train task: config to run folder."""

from omegaconf import DictConfig

from trompe.engine.hardware import process_rank
from trompe.engine.interrupt import catch_signals
from trompe.runs.run_folder import RunFolder
from trompe.training.build import build
from trompe.training.lightning import quiet_lightning
from trompe.training.recorded import begin, recorded, report
from trompe.training.session import open_session


def train(cfg: DictConfig) -> RunFolder:
    """Train `cfg`, or resume the run it names.

    Raises:
        UserError: for anything in the config, the data or the run folder that cannot work.
        KeyboardInterrupt: on Ctrl-C or SIGTERM, after the run's status has been written.
    """
    quiet_lightning()
    session = open_session(cfg)
    job = build(session)
    is_writer = process_rank() == 0
    if is_writer:
        catch_signals()
        begin(session, job.data.fingerprint, job.trainer_config)
    with recorded(session.run if is_writer else None, job.trackers):
        job.fit(session.run.last_checkpoint if session.resumed else None)
    if is_writer:
        report(session.run, job.method)
    return session.run
