"A Slurm cluster of one machine: controller and node as plain processes, without accounting."
import os, shutil, signal, socket, subprocess, tempfile, time
from contextlib import contextmanager
from pathlib import Path

CONFIG = '''ClusterName=one
SlurmctldHost={host}
NodeName={host} CPUs={cpus} RealMemory=8000
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
SlurmUser=root
StateSaveLocation={top}/state
SlurmdSpoolDir={top}/spool
SlurmctldPidFile={top}/ctld.pid
SlurmdPidFile={top}/d.pid
SlurmctldLogFile={top}/ctld.log
SlurmdLogFile={top}/d.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
SlurmdTimeout=60
MinJobAge=600
'''
PLACE = Path('/etc/slurm/slurm.conf') # jobs do not inherit SLURM_CONF


def missing():
    "Why there can be no cluster here; '' if there can."
    places = f'{os.environ["PATH"]}:/usr/sbin'
    absent = [p for p in ('slurmctld', 'slurmd', 'munged', 'squeue') if not shutil.which(p, path=places)]
    if absent: return f'{", ".join(absent)} not installed: apt-get install slurm-wlm munge'
    if os.geteuid(): return 'the daemons want to be root'
    if PLACE.exists(): return f'{PLACE} is there: this machine has a cluster of its own'
    return ''


def started(*call):
    quiet = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return subprocess.Popen(call, **quiet)


def node_state(): return subprocess.run(['sinfo', '-h', '-o', '%t'], capture_output=True, text=True).stdout.strip()


def wait_for(states, seconds=60):
    until = time.monotonic() + seconds
    while node_state() not in states:
        if time.monotonic() > until: raise TimeoutError(f'the node is {node_state()!r}')
        time.sleep(.2)


@contextmanager
def cluster(cpus):
    "A function that kills the node's daemon and starts it again."
    top = Path(tempfile.mkdtemp(prefix='slurm'))
    for name in ('state', 'spool', 'munge'): (top/name).mkdir()
    shutil.chown(top/'munge', 'munge')
    top.chmod(0o755)
    PLACE.parent.mkdir(exist_ok=True)
    PLACE.write_text(CONFIG.format(host=socket.gethostname(), cpus=cpus, top=top))
    Path('/run/munge').mkdir(exist_ok=True)
    shutil.chown('/run/munge', 'munge')
    files = [f'--{k}-file={top}/munge/{k}' for k in ('log', 'pid', 'seed')]
    munge = ['munged', '--foreground', *files]
    daemons = dict(munge=started('runuser', '-u', 'munge', '--', *munge))
    time.sleep(1)
    def node(): daemons['node'] = started('/usr/sbin/slurmd', '-D')
    def restart_node():
        daemons['node'].send_signal(signal.SIGKILL)
        daemons['node'].wait()
        time.sleep(2)
        node()
    daemons['controller'] = started('/usr/sbin/slurmctld', '-D')
    node()
    try:
        wait_for(['idle'])
        yield restart_node
    finally:
        for d in reversed(daemons.values()): d.terminate()
        for d in daemons.values(): d.wait(20)
        PLACE.unlink()
        shutil.rmtree(top)
