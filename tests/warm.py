"""Kernels and Papermill that start in a moment: one process imports the large packages, and each is forked from it.

Of the seconds that a small notebook takes most are imports. Only packages of others are imported here, the project
itself anew by each kernel. `nbdev_test` and everything outside of the tests start the usual way."""
import atexit, gc, json, os, resource, select, signal, socket, struct, sys, traceback
from importlib import import_module

SLOW = ('torch', 'torchvision', 'captum.attr', 'timm', 'pandas', 'scipy.stats', 'sklearn.metrics', 'matplotlib.figure',
        'matplotlib.backends.backend_agg', 'seaborn', 'optuna', 'papermill.cli', 'ipykernel.kernelapp', 'torch._dynamo',
        'onnxscript', 'torch.onnx._internal.exporter._core') # the last three: whatever exports
ALIKE = 'PYTHONHASHSEED', 'CUDA_VISIBLE_DEVICES' # what an import may have read
LEAST = 1_500_000_000 # bytes: what is imported takes 1 GB of them
START = dict(papermill=('papermill.cli', 'papermill'),
             ipykernel_launcher=('ipykernel.kernelapp', 'launch_new_instance'))


def line(address, *args): # a module of START and its arguments
    return [sys.executable, '-S', __file__, address, *(os.environ.get(k, '') for k in ALIKE), *args]


def kernelspec(folder, address): # in which Jupyter finds this before its own, with JUPYTER_PATH
    there = folder/'kernels'/'python3'
    there.mkdir(parents=True)
    argv = line(address, 'ipykernel_launcher', '-f', '{connection_file}')
    (there/'kernel.json').write_text(json.dumps(dict(argv=argv, display_name='Python 3', language='python')))


def client(address, *given):
    "What is started and gets the signals; the usual command where imports would be others or memory hardly holds them."
    alike, args = given[:len(ALIKE)], given[len(ALIKE):]
    usual = [sys.executable, '-m', *args]
    limit = resource.getrlimit(resource.RLIMIT_DATA)
    if 0 <= limit[0] < LEAST or tuple(os.environ.get(k, '') for k in ALIKE) != alike: os.execv(usual[0], usual)
    server, parent = socket.socket(socket.AF_UNIX), os.getppid()
    try: server.connect(address)
    except OSError: os.execv(usual[0], usual) # it is gone
    asked = json.dumps(dict(cwd=os.getcwd(), env=dict(os.environ), args=args, limit=limit)).encode() + b'\n'
    socket.send_fds(server, [asked[:1]], [0, 1, 2])
    server.sendall(asked[1:])
    for number in signal.SIGINT, signal.SIGTERM: signal.signal(number, lambda n, _: server.sendall(bytes([n])))
    while os.getppid() == parent: # else nobody waits for it
        if select.select([server], [], [], .5)[0]: os._exit(next(iter(server.recv(1)), 1))


def caller(pid):
    "The process that Papermill started for a kernel; the kernel itself if it started the usual way."
    file = os.path.join(os.environ['JUPYTER_PATH'], f's.{pid}')
    return int(open(file).read()) if os.path.exists(file) else pid


def become(asked, fds):
    "In the forked process: be what `python -m` would have made of it."
    os.setsid()
    for n, fd in enumerate(fds): os.dup2(fd, n)
    resource.setrlimit(resource.RLIMIT_DATA, asked['limit'])
    os.chdir(asked['cwd'])
    os.environ.clear()
    os.environ.update(asked['env'] | dict(JPY_PARENT_PID=str(os.getppid()))) # whose end a kernel watches
    if threads := asked['env'].get('OMP_NUM_THREADS'): # was read when PyTorch was imported
        sys.modules['torch'].set_num_threads(int(threads))
    sys.argv, code = asked['args'], 1
    try:
        if more := os.environ.get('PYTHONPATH'):
            sys.path[:0] = more.split(os.pathsep)
            try: import_module('sitecustomize')
            except ModuleNotFoundError: pass # there is none
        module, function = START[sys.argv[0]]
        getattr(import_module(module), function)()
        code = 0
    except SystemExit as e: code = e.code if isinstance(e.code, int) else int(e.code is not None)
    except BaseException: traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush(); sys.stderr.flush()
        os._exit(code)


def begin(c, address):
    "Fork for one client; the process, which leads a group of its own."
    head, fds, _, _ = socket.recv_fds(c, 1, 3)
    asked = json.loads(head + c.makefile('rb').readline())
    pid = os.fork()
    if not pid: become(asked, fds)
    for fd in fds: os.close(fd)
    asks = struct.unpack('3i', c.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    with open(f'{address}.{pid}', 'w') as f: f.write(str(asks))
    return pid


def serve(address):
    "Fork for each client that asks; one that is gone takes its process with it."
    listener, own, parent = socket.socket(socket.AF_UNIX), {}, os.getppid()
    listener.bind(address); listener.listen(64) # who comes before the imports are done waits
    sys.path[:] = sys.path[1:]
    os.environ['JPY_PARENT_PID'] = str(os.getpid()) # read when ipykernel is imported
    for name in SLOW: import_module(name)
    gc.collect(); gc.freeze()
    while os.getppid() == parent:
        for s in select.select([listener, *own], [], [], .02)[0]:
            if s is listener:
                c = listener.accept()[0]
                own[c] = begin(c, address)
            elif number := s.recv(1): os.kill(own[s], number[0])
            else: os.killpg(own[s], signal.SIGKILL)
        for c, pid in list(own.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if not done: continue
            code = os.waitstatus_to_exitcode(status)
            try: c.sendall(bytes([code if code >= 0 else 128 - code]))
            except OSError: pass # nobody asks
            c.close(); del own[c]
    for pid in own.values(): os.killpg(pid, signal.SIGKILL)


if __name__ == '__main__': (client if len(sys.argv) > 2 else serve)(*sys.argv[1:])
