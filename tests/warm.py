"""Kernels that start in a moment: one process imports the large packages, and each kernel is forked from it.

Of the seconds that a small notebook takes most are imports. Only packages of others are imported here, the project
itself anew by each kernel. `nbdev_test` and every kernel outside of the tests start the usual way."""
import atexit, gc, json, os, select, signal, socket, struct, sys

SLOW = ('torch', 'torchvision', 'captum.attr', 'timm', 'pandas', 'scipy.stats', 'sklearn.metrics', 'matplotlib.figure',
        'matplotlib.backends.backend_agg', 'optuna', 'ipykernel.kernelapp')
ALIKE = 'PYTHONPATH', 'PYTHONHASHSEED', 'OMP_NUM_THREADS', 'CUDA_VISIBLE_DEVICES' # what an import may have read


def kernelspec(folder, address): # in which Jupyter finds this before its own, with JUPYTER_PATH
    there = folder/'kernels'/'python3'
    there.mkdir(parents=True)
    argv = [sys.executable, '-S', __file__, address, *(os.environ.get(k, '') for k in ALIKE), '-f', '{connection_file}']
    (there/'kernel.json').write_text(json.dumps(dict(argv=argv, display_name='Python 3', language='python')))


def client(address, *given):
    "What Jupyter starts and sends signals to; where the imports would have been others, the usual kernel."
    alike, args = given[:len(ALIKE)], given[len(ALIKE):] # of the kernel: its connection file, what Papermill adds
    usual = [sys.executable, '-m', 'ipykernel_launcher', *args]
    if tuple(os.environ.get(k, '') for k in ALIKE) != alike: os.execv(usual[0], usual)
    server, parent = socket.socket(socket.AF_UNIX), os.getppid()
    try: server.connect(address)
    except OSError: os.execv(usual[0], usual) # it is gone
    asked = json.dumps(dict(cwd=os.getcwd(), env=dict(os.environ), args=args)).encode() + b'\n'
    socket.send_fds(server, [asked[:1]], [0, 1, 2])
    server.sendall(asked[1:])
    for number in signal.SIGINT, signal.SIGTERM: signal.signal(number, lambda n, _: server.sendall(bytes([n])))
    while os.getppid() == parent: # else nobody waits for it
        if select.select([server], [], [], .5)[0]: os._exit(next(iter(server.recv(1)), 1))


def caller(pid):
    "The process that Papermill started for a kernel; the kernel itself if it started the usual way."
    file = os.path.join(os.environ['JUPYTER_PATH'], f's.{pid}')
    return int(open(file).read()) if os.path.exists(file) else pid


def kernel(asked, fds):
    "In the forked process: be what `python -m ipykernel_launcher` is."
    os.setsid()
    for n, fd in enumerate(fds): os.dup2(fd, n)
    os.chdir(asked['cwd'])
    os.environ.clear()
    os.environ.update(asked['env'] | dict(JPY_PARENT_PID=str(os.getppid()))) # else it sees that its parent is another
    sys.argv = ['ipykernel_launcher', *asked['args']]
    try: __import__('ipykernel.kernelapp').kernelapp.launch_new_instance()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush(); sys.stderr.flush()
        os._exit(0)


def serve(address):
    "Fork a kernel for each that asks; a client that is gone takes its kernel with it."
    listener, own, parent = socket.socket(socket.AF_UNIX), {}, os.getppid()
    listener.bind(address); listener.listen(64) # who comes before the imports are done waits
    sys.path[:] = sys.path[1:]
    for name in SLOW: __import__(name)
    gc.collect(); gc.freeze()
    while os.getppid() == parent:
        for s in select.select([listener, *own], [], [], .02)[0]:
            if s is listener:
                c = listener.accept()[0]
                head, fds, _, _ = socket.recv_fds(c, 1, 3)
                asked = json.loads(head + c.makefile('rb').readline())
                pid = os.fork()
                if not pid:
                    listener.close()
                    kernel(asked, fds)
                own[c] = pid
                asks = struct.unpack('3i', c.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
                with open(f'{address}.{pid}', 'w') as f: f.write(str(asks))
                for fd in fds: os.close(fd)
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
