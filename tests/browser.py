"A headless Chromium, driven over its DevTools protocol: just what a test of the site needs."
import json, shutil, subprocess, tempfile, time
from pathlib import Path
from urllib.parse import urlsplit
import websocket

CHROMIUM = next((p for n in ('chromium', 'chromium-browser', 'google-chrome') if (p := shutil.which(n))), None)
FLAGS = ('--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
         '--hide-scrollbars', '--remote-debugging-port=0', '--remote-allow-origins=*',
         '--disable-background-networking',
         '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1') # nothing but loopback is reached


class Browser:
    "One tab: `open` a page, ask it with `js`. `errors`: what went wrong; `outside`: what it wanted from elsewhere."

    def __enter__(self):
        self.home = Path(tempfile.mkdtemp(prefix='chromium-'))
        self.process = subprocess.Popen([CHROMIUM, *FLAGS, f'--user-data-dir={self.home}', 'about:blank'],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port = self.home/'DevToolsActivePort'
        for _ in range(300):
            if port.exists() and len(lines := port.read_text().splitlines()) == 2: break
            time.sleep(.1)
        self.socket = websocket.create_connection(f'ws://127.0.0.1:{lines[0]}{lines[1]}', timeout=60)
        self.n, self.session, self.seen = 0, None, []
        target = self.call('Target.createTarget', url='about:blank')['targetId']
        self.session = self.call('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
        for domain in ('Page', 'Runtime', 'Log', 'Network'): self.call(f'{domain}.enable')
        return self

    def __exit__(self, *_):
        self.socket.close()
        self.process.terminate()
        self.process.wait(20)
        shutil.rmtree(self.home, ignore_errors=True)

    def call(self, method, **params):
        "One command of the protocol and its result; events that come meanwhile are kept."
        self.n += 1
        about = dict(sessionId=self.session) if self.session else {}
        self.socket.send(json.dumps(dict(id=self.n, method=method, params=params) | about))
        while (m := json.loads(self.socket.recv())).get('id') != self.n: self.seen.append(m)
        if 'error' in m: raise RuntimeError(f"{method}: {m['error']['message']}")
        return m['result']

    def open(self, url):
        "Go to a page and wait until it has loaded."
        self.seen = []
        self.call('Page.navigate', url=url)
        while not any(m.get('method') == 'Page.loadEventFired' for m in self.seen):
            self.seen.append(json.loads(self.socket.recv()))
        self.js('new Promise(done => setTimeout(done, 30))')

    def js(self, code):
        "The value of an expression on the page, waited for if it is a promise."
        r = self.call('Runtime.evaluate', expression=code, awaitPromise=True, returnByValue=True)
        if 'exceptionDetails' in r: raise RuntimeError(f"{code[:80]}: {r['exceptionDetails']}")
        return r['result'].get('value')

    def look(self, width, dark=False, height=900):
        "The size of the window and the mode that the reader prefers."
        size = dict(width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call('Emulation.setDeviceMetricsOverride', **size)
        scheme = dict(name='prefers-color-scheme', value='dark' if dark else 'light')
        self.call('Emulation.setEmulatedMedia', features=[scheme])

    def shot(self, path, height=None):
        "A picture of the page, its first `height` pixels or all of it."
        import base64
        size = self.call('Page.getLayoutMetrics')['cssContentSize']
        clip = dict(x=0, y=0, width=size['width'], height=min(size['height'], height or 1e9), scale=1)
        data = self.call('Page.captureScreenshot', captureBeyondViewport=True, clip=clip)['data']
        Path(path).write_bytes(base64.b64decode(data))

    def sent(self):
        "The address of each request since `open`, by id."
        return {m['params']['requestId']: m['params']['request']['url'] for m in self.seen
                if m.get('method') == 'Network.requestWillBeSent'}

    @property
    def outside(self):
        "Hosts other than this machine that the page wanted something from."
        return {h for u in self.sent().values() if (h := urlsplit(u).hostname) not in (None, '127.0.0.1')}

    @property
    def errors(self):
        "Errors of the console and failed requests, but for those to other machines, which can't be reached."
        found, sent = [], self.sent()
        for m in self.seen:
            p, kind = m.get('params', {}), m.get('method')
            if kind == 'Runtime.exceptionThrown': found.append(str(p['exceptionDetails'].get('exception', p)))
            if kind == 'Runtime.consoleAPICalled' and p['type'] in ('error', 'assert'): found.append(str(p['args']))
            if kind == 'Log.entryAdded' and p['entry']['level'] == 'error':
                found.append((p['entry']['text'], p['entry'].get('url', '')))
            if kind == 'Network.loadingFailed': found.append((p['errorText'], sent.get(p['requestId'], '')))
            if kind == 'Network.responseReceived' and p['response']['status'] >= 400:
                found.append((p['response']['status'], p['response']['url']))
        return [f for f in found if not (isinstance(f, tuple) and urlsplit(f[1]).hostname not in (None, '127.0.0.1'))]
