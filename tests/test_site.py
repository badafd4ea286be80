"The built site in a browser: no error, no dead link, every figure described, the search and the choice of claims work."
import ast, functools, http.server, json, os, re, shutil, subprocess, sys, threading
from pathlib import Path
from urllib.parse import parse_qs, unquote, urldefrag, urljoin, urlsplit
import pytest
import yaml
import browser
from inspectkit.claims import DECIDED, VERDICTS, claims
from inspectkit.few_defects import SHARES
from inspectkit.studies import plan

STUDIES = dict(S1='corrosion', S2='gradcam', S3='aae', S4='efficientnet', S5='augmentation') # and reports
PAPERS = tuple(STUDIES)
# The box of the search and what it finds: the preview's, Quarto's
BOXES, HITS = '.smalldocs-search input, #quarto-search input', '.smalldocs-search-results.show a, .aa-Panel a[href]'
BIN = Path(sys.executable).parent


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_): pass


@pytest.fixture(scope='module')
def built(checkout, tmp_path_factory):
    "The site, built from a copy of the project as `make site` does; its messages."
    there = checkout(tmp_path_factory.mktemp('site')/'project')
    (there/'runs'/'mine').mkdir() # a study of the user's own
    shutil.copy(next((there/'runs'/'walk').glob('*.json')), there/'runs'/'mine'/'my-own-lot.json')
    env = os.environ | dict(PYTHONPATH=str(there), PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}")
    call = [BIN/'python', 'tools/build_site.py']
    r = subprocess.run(call, cwd=there, env=env, capture_output=True, text=True, timeout=300)
    assert r.returncode == 0, r.stdout[-2000:] + r.stderr[-2000:]
    return there, r.stdout + r.stderr


@pytest.fixture(scope='module')
def served(built):
    "The address of the site on loopback."
    handler = functools.partial(Quiet, directory=built[0]/'_site')
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}/'
    server.shutdown()


@pytest.fixture(scope='module')
def tab():
    if not browser.CHROMIUM: pytest.skip('needs Chromium: apt-get install chromium')
    with browser.Browser() as b: yield b


# What reaches beyond the window and can't be scrolled to by itself
OVER = '''(() => { const scrolls = e => e && e.tagName != 'MAIN' &&
        (/auto|scroll/.test(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
    return [...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)
        .filter(e => e.offsetParent && !scrolls(e.parentElement) && !scrolls(e))
        .map(e => e.outerHTML.slice(0, 60)) })()'''

# What is too wide for its place and does not show it; figures that a phone shows too small to be read
UNMARKED = """[...document.querySelectorAll('main table')].filter(e => e.scrollWidth > e.clientWidth + 1)
    .filter(e => !getComputedStyle(e).backgroundImage.includes('gradient')).map(e => e.outerHTML.slice(0, 60))"""
SMALL = """[...document.querySelectorAll('main figure img')]
    .filter(i => i.clientWidth < Math.min(i.naturalWidth, 600)).map(i => i.alt)"""
# What paper leaves out, but for a space that hangs over the end of a line
CUT = """[...document.querySelectorAll('main *')].filter(e => e.offsetParent && !e.closest('.math'))
    .filter(e => e.getBoundingClientRect().right > innerWidth + 3 ||
        e.clientWidth && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX != 'visible')
    .map(e => e.outerHTML.slice(0, 60))"""


def printed(tab):
    "What is wrong with the open page on A4, inside Chromium's margins, where the screen is dark."
    tab.look(718)
    dark = [dict(name='prefers-color-scheme', value='dark')]
    tab.call('Emulation.setEmulatedMedia', media='print', features=dark)
    found = [f'on paper this is cut: {e}' for e in tab.js(CUT)]
    if tab.js("getComputedStyle(document.querySelector('main p')).color") != 'rgb(0, 0, 0)': found.append('not black')
    if tab.js("['#quarto-header', '#quarto-sidebar'].some(s => document.querySelector(s)?.offsetHeight)"):
        found.append('the navigation is printed')
    tab.call('Emulation.setEmulatedMedia', media='', features=[])
    return found


def pages(built):
    top = built[0]/'_site'
    return sorted(str(f.relative_to(top)) for f in top.rglob('*.html') if 'site_libs' not in f.parts)


def test_what_is_built(built, root):
    "A page for each module and each report, in reading order; a preview says so; nothing broken, nothing unresolved."
    there, said = built
    names = set(pages(built))
    assert {f'api/{m.stem[3:]}.html' for m in (root/'nbs').glob('[0-9][0-9]_*.ipynb')} <= names
    reports = {r.stem for r in (root/'nbs'/'papers').glob('[!_.]*.ipynb')}
    assert {f'papers/{r}.html' for r in reports - {'walkthrough'}} | {'pages/walkthrough.html'} <= names
    assert 'papers/walkthrough.html' not in names
    assert {'index.html', *(f'pages/{p.stem.lstrip("_")}.html' for p in (root/'pages').glob('*.qmd'))} <= names
    assert 'broken link' not in said and ('preview' in said) == (shutil.which('quarto') is None), said
    titles = [re.search('<title>(.*?)</title>', (there/'_site'/n).read_text(encoding='utf-8'))[1] for n in names]
    assert len(set(titles)) == len(titles), 'two pages of one title'
    order = re.findall(r'href="[./]*api/(\w+)\.html"', (there/'_site'/'index.html').read_text(encoding='utf-8'))
    modules = [m.stem[3:] for m in sorted((root/'nbs').glob('[0-9][0-9]_*.ipynb'))]
    assert order[:len(modules)] == modules
    judge = (there/'_site'/'pages'/'judge.html').read_text(encoding='utf-8')
    side = re.findall(r'href="[./]*papers/(\w+)\.html"', judge)
    assert side[:len(PAPERS)] == [STUDIES[p] for p in PAPERS]
    for n in names:
        text = re.sub(r'(?s)<(pre|code|script|style)\b.*?</\1>', '', (there/'_site'/n).read_text(encoding='utf-8'))
        assert not re.search(r'\?@|@fig-|\{\{<|\{#|^:::', text, re.M), n
        assert n.startswith('api/') is False or '#| ' not in text


def test_a_study_of_the_users_own_is_not_published(built):
    top = built[0]/'_site'
    assert (top/'runs'/'walk').is_dir() and not (top/'runs'/'mine').exists()
    assert not any('my-own-lot' in (top/p).read_text(encoding='utf-8') for p in pages(built))


def test_hidden_stays_hidden_and_functions_have_tables(built):
    text = (built[0]/'_site'/'api'/'score.html').read_text(encoding='utf-8')
    assert 'nbdev_export' not in text and 'default_exp' not in text and '#| export' not in text
    assert re.search(r'(?s)<table\b.*?Returns.*?</table>', text)


def test_a_comment_is_shown_as_it_is_written(built, served, tab):
    "No asterisk becomes emphasis, no '' a pair of curly quotes; a default that is a function has its name."
    said = {}
    for module in ('cam_change', 'claims'):
        tab.open(f'{served}api/{module}.html')
        said[module] = tab.js("[...document.querySelectorAll('main td')].map(d => d.textContent)")
        assert not tab.js("document.querySelector('main td em, main td sub, main td sup')")
    assert any('(N, *grid)' in s for s in said['cam_change'])
    assert any("verdict; '' for none" in s for s in said['claims'])
    for page in (built[0]/'_site'/'api').glob('*.html'): assert ' at 0x' not in page.read_text(encoding='utf-8'), page


def test_no_comment_of_a_parameter_runs_over_two_lines(root):
    "A table shows the first only."
    for py in (root/'inspectkit').glob('*.py'):
        text = py.read_text(encoding='utf-8')
        for f in (n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)):
            head = text.splitlines()[f.lineno - 1:f.body[0].lineno - 1]
            assert not any(line.lstrip().startswith('#') for line in head), f'{py.name}: {f.name}'


def test_every_page_in_a_browser(built, served, tab):
    found, ids, links, sizes = [], {}, [], [1280, 390]
    tab.look(1280)
    for name in pages(built):
        tab.open(served + name)
        found += [f'{name}: {e}' for e in tab.errors]
        found += [f'{name} wants {h}' for h in tab.outside - {'cdn.jsdelivr.net'}] # KaTeX, of the preview only
        about = tab.js('''({ids: [...document.querySelectorAll('[id]')].map(e => e.id),
            links: [...document.querySelectorAll('a[href]')].map(a => a.getAttribute('href')),
            bare: [...document.images].filter(i => !(i.alt || '').trim()).map(i => i.src.slice(0, 60))})''')
        ids[name] = set(about['ids'])
        links += [(name, urljoin(served + name, h)) for h in about['links']]
        found += [f'{name}: a figure without alt text: {b}' for b in about['bare']]
        for size in sizes:
            tab.look(size)
            found += [f'{name}, {size} px: wider than the window: {e}' for e in tab.js(OVER)]
            found += [f'{name}, {size} px: scrolls without a sign: {e}' for e in tab.js(UNMARKED)]
            if size == 390: found += [f'{name}: too small on a phone: {e}' for e in tab.js(SMALL)]
            elif name.startswith('papers/') and tab.js("document.querySelector('main').clientWidth") < 900:
                found.append(f'{name}: a report has less than the width there is')
        if not name.startswith('api/'): found += [f'{name}: {e}' for e in printed(tab)]
        sizes.reverse()
        tab.look(sizes[0]) # of the next page
    for name, url in links:
        page, anchor = urldefrag(url)
        if not page.startswith(served): continue
        to = unquote(urlsplit(page).path).lstrip('/') or 'index.html'
        to += 'index.html' if to.endswith('/') else ''
        if not (built[0]/'_site'/to).is_file(): found.append(f'{name}: {url} is missing')
        elif anchor and to in ids and unquote(anchor) not in ids[to]: found.append(f'{name}: {url} has no such place')
    assert not found, '\n'.join(sorted(set(found)))


@pytest.mark.parametrize('width', [390, 1024, 1201, 1280])
def test_no_interval_is_broken(served, tab, width):
    tab.look(width)
    tab.open(served + 'pages/claims.html')
    broken = tab.js("""[...document.querySelectorAll('table.claims :is(.whole, th)')].filter(e => e.offsetParent)
        .filter(e => e.getClientRects().length > 1 || e.scrollWidth > e.clientWidth + 1 ||
            e.getBoundingClientRect().right > e.closest('td, th').getBoundingClientRect().right)
        .map(e => e.textContent)""")
    assert tab.js("document.querySelectorAll('.whole').length") > 50 and not broken


def test_the_first_page_begins_with_what_to_do(served, tab):
    "Above the counts: the three ways, the two commands; with the counts: what each document is."
    tab.look(1280)
    tab.open(served)
    text = tab.js("document.querySelector('main').innerText")
    assert 0 < text.index('make run') < text.index('make test') < text.index('claims\n')
    assert tab.js("document.querySelector('.way pre').getBoundingClientRect().bottom < innerHeight")
    named = tab.js("[...document.querySelectorAll('.tally .document')].map(p => p.textContent)")
    assert len(named) == len(PAPERS) and all(named)


@pytest.mark.parametrize('words', ['Grad-CAM', '腐食'])
def test_search_finds(served, tab, words):
    tab.look(1280)
    tab.open(served)
    hits = tab.js('''(async () => {
        const wait = () => new Promise(done => setTimeout(done, 50));
        let box; // Quarto's is there once its index is
        for (let k = 0; k < 100 && !box; k++, await wait())
            box = [...document.querySelectorAll(%s)].find(i => i.offsetParent);
        box.focus(); box.value = %s; box.dispatchEvent(new Event('input', {bubbles: true}));
        for (let k = 0; k < 100; k++, await wait()) {
            const hits = [...document.querySelectorAll(%s)];
            if (hits.length) return hits.map(a => [a.getAttribute('href'), a.textContent]);
        }
        return [] })()''' % tuple(map(json.dumps, (BOXES, words, HITS))))
    assert any(words in text for _, text in hits), hits
    tab.open(urljoin(served, hits[0][0]))
    assert not tab.errors


def test_claims_filter(served, tab):
    every = {p: claims(p) for p in PAPERS}
    rows = "[...document.querySelectorAll('table.claims tbody tr')]"
    def shown(): return tab.js(f'{rows}.filter(r => r.offsetParent).length')
    tab.open(served + 'pages/claims.html')
    assert shown() == sum(map(len, every.values())) >= 150
    assert not tab.js(rows + r".some(r => !/^S\d, \S/.test(r.querySelector('[data-label=source]').textContent))")
    for verdict in set(every['S1'].verdict) | {'not yet run'}:
        assert verdict in VERDICTS
        tab.js('''(() => { const f = document.getElementById('choose'); f.elements.paper.value = 'S1';
            f.elements.verdict.value = %s; f.dispatchEvent(new Event('input')) })()''' % json.dumps(verdict))
        assert shown() == (every['S1'].verdict == verdict).sum()
    tab.open(served + 'pages/claims.html?paper=S1&words=trimming') # what the address says
    here = every['S1'].claim.str.contains('trimming', case=False).sum()
    assert here <= shown() < len(every['S1'])
    link = tab.js("document.getElementById('S1.trim').querySelector('a').href")
    assert link.startswith(served + 'papers/corrosion.html#at-')


def test_a_claim_leads_to_its_runs_and_no_others(served, tab):
    "One run to its row, several to the page of runs with just these; in a row no two links say the same."
    tab.open(served + 'pages/claims.html')
    rows = "[...document.querySelectorAll('table.claims tbody tr')]"
    links = "[...r.querySelectorAll('[data-label=see] a')].map(a => [a.textContent, a.href])"
    see = {i: (v, dict(found)) for i, v, found in tab.js(rows + f".map(r => [r.id, r.dataset.verdict, {links}])")}
    assert all(set(found) <= {'cell', *(k for k in found if re.fullmatch(r'1 run|[2-9] runs|[1-9]\d+ runs', k))}
               for _, found in see.values())
    none = {'adds up', 'a setting', 'another setting', 'the paper contradicts itself', 'not yet run'}
    assert not any('run' in ' '.join(found) for v, found in see.values() if v in none)
    assert {i for i, (v, found) in see.items() if v in DECIDED and len(found) == 1} == {'S1.trim-paper', 'S4.one-hot'}
    shown = "[...document.querySelectorAll('table.runs tbody tr')].filter(r => r.offsetParent)"
    tab.open(see['S1.cnn-loss'][1]['6 runs']) # three seeds of two networks
    own = tab.js(shown + ".map(r => r.querySelector('a').textContent)")
    assert sorted(n.partition('-')[0] for n in own) == ['alexnet']*3 + ['cnn5']*3
    assert 'S1.cnn-loss' in tab.js("document.querySelector('.of-claim').textContent")
    tab.js("document.querySelector('.of-claim button').click()")
    assert tab.js(f"{shown}.length == document.querySelectorAll('table.runs tbody tr').length") and not tab.errors
    tab.open(served + 'pages/claims.html') # from the page itself its row would be no navigation
    tab.open(see['S1.t1.lr'][1]['1 run'])
    assert tab.js("document.querySelector(':target').textContent").startswith('cnn5-')


def test_what_was_not_sampled_is_exact(served, tab):
    tab.open(served + 'pages/claims.html')
    ours = "[...document.querySelectorAll('tr[data-verdict=\"adds up\"] [data-label=ours]')]"
    said = tab.js(ours + '.map(d => d.textContent)')
    assert said and all(s.endswith(' exact') for s in said)


def test_data_page_says_who_uses_what(root):
    "The last column, against the plans."
    lines = (root/'pages'/'data.qmd').read_text(encoding='utf-8').splitlines()
    used = {n: l.split('|')[-2] for l in lines if l.startswith('| `') for n in re.findall('`([^`]+)`', l.split('|')[1])}
    for paper, study in STUDIES.items():
        sizes = yaml.safe_load((root/'studies'/f'{study}.yaml').read_text(encoding='utf-8'))
        for name in {r['params'].get('data', '') for size in sizes for r in plan(study, size)} - {''}:
            names = [name.rpartition(':')[2].removesuffix('-mono')] + [f'{k}:SET' for k in ('planted',) if k in name]
            assert all(paper in used[n] for n in names), f'data.qmd: {name} is used for {paper}'


def test_commands_are_the_same_in_every_shell(root):
    "As pages/yours.qmd says: one line each, no single quotes; and no two papermill commands in one block."
    for f in (root/'README.md', *(root/'pages').glob('*.qmd')):
        if f.with_name(f'_{f.name}').exists(): continue # made from that one
        name, text = f.name, f.read_text(encoding='utf-8')
        for block in re.findall(r'(?:^ {4}.+\n)+', text, re.M):
            assert "'" not in block and '\\\n' not in block, f'{name}: {block}'
            assert name == 'README.md' or block.count('papermill ') <= 1, f'{name}: {block}'


def test_page_on_running_names_what_there_is(root):
    "Every run notebook, every size of every plan; README's minutes; the shares of a split that pages/yours.qmd tells."
    text, readme = ((root/f).read_text(encoding='utf-8') for f in ('pages/_run.qmd', 'README.md'))
    assert set(re.findall(r'^\| `(run_\w+)` \|', text, re.M)) == {f.stem for f in (root/'nbs').glob('run_*.ipynb')}
    plans = [yaml.safe_load(f.read_text(encoding='utf-8')) for f in (root/'studies').glob('[!_]*.yaml')]
    assert set(re.findall(r'^\| \*(\w+)\* \|', text, re.M)) == {size for p in plans for size in p}
    row = r'^\| (?:the first command|`make run`|`make test`).*?\| .*?(\d.*?) minutes'
    for minutes in re.findall(row, text, re.M):
        assert re.search(rf'\b{minutes}\b', re.search(r'(?s)## Two commands.*?## ', readme)[0]), minutes
    yours = ' '.join((root/'pages'/'yours.qmd').read_text(encoding='utf-8').split())
    assert 'one of five of them draws the limit, three of ten test it' in yours and SHARES[1:] == [.2, .3]


def test_tally_counts_the_list(served, tab):
    tab.open(served)
    badges = "[...document.querySelectorAll('.tally a')]"
    counts = dict(tab.js(badges + ".map(a => [a.search, +a.querySelector('b').textContent])"))
    asked = {(q['paper'][0], q['verdict'][0]): n for k, n in counts.items()
             if {'paper', 'verdict'} <= set(q := parse_qs(k[1:]))}
    assert {p for p, _ in asked} == set('S1 S2 S3 S4 S5'.split())
    for (paper, verdict), n in asked.items(): assert n == (claims(paper).verdict == verdict).sum() > 0
    for paper in {p for p, _ in asked}: # what is undecided, or came out otherwise, is never left out
        for verdict in set(claims(paper).verdict) & {'undecided', 'not reproduced'}: assert (paper, verdict) in asked


def test_a_report_knows_what_it_was_made_from(built):
    "Each says so in its last cell, README's figure in itself; a changed run is named."
    there, _ = built
    for r in (there/'nbs'/'papers').glob('[!_.]*.ipynb'):
        last = json.loads(r.read_text(encoding='utf-8'))['cells'][-1]
        assert ''.join(last['source']).startswith('colophon(') and last['outputs'], f'{r.name} ends without a colophon'
    env = os.environ | dict(PYTHONPATH=str(there))
    call = [BIN/'python', 'tools/reports.py']
    def stale(): return subprocess.run(call, cwd=there, env=env, capture_output=True, text=True)
    run = next(f for f in (there/'runs'/'corrosion').glob('*.json'))
    before = run.read_bytes()
    run.write_bytes(before.replace(b'"seed": ', b'"seed":  '))
    late = stale().stdout
    assert re.search(r'corrosion: its .*runs.* moved', late) and 'images/first.png: its runs' in late
    run.write_bytes(before)
    assert 'images/first.png' not in stale().stdout


def test_workflows_say_what_they_do(root):
    "YAML that can be read, each step one thing; the make targets exist."
    make = (root/'Makefile').read_text(encoding='utf-8')
    for f in (root/'.github'/'workflows').glob('*.yml'):
        flow = yaml.safe_load(f.read_text(encoding='utf-8'))
        assert {'name', True, 'permissions', 'jobs'} <= set(flow) # YAML 1.1 reads `on` as true
        for job in flow['jobs'].values():
            assert job['runs-on'] and all(('uses' in s) != ('run' in s) for s in job['steps'])
            for target in re.findall(r'make (\w+)', ' '.join(s.get('run', '') for s in job['steps'])):
                assert f'\n{target}:' in make
