"""Make what the site shows and git does not keep. Quarto and smalldocs run this before they render.

api/*.ipynb     the library, one page a module in reading order, through nbdev's own processors
papers/*.ipynb  the reports, with an anchor at each cell that settles a claim
pages/walkthrough.ipynb  the walk-through, a report of no paper
index.qmd, pages/claims.qmd ...  from _index.qmd, pages/_claims.qmd ..., with the table that each one names
"""
import ast, functools, gc, html, inspect, json, os, re, shutil
from importlib.util import find_spec
from pathlib import Path
import nbdev.showdoc
import pandas as pd
import yaml
from execnb.nbio import mk_cell, read_nb, write_nb
from fastcore.docments import DocmentTbl
from nbdev.frontmatter import FrontmatterProc
from nbdev.process import NBProcessor
from nbdev.processors import FilterDefaults
from nbdev.showdoc import BasicMarkdownRenderer
from inspectkit.claims import VERDICTS, claims
from inspectkit.runs import load_runs, repo_root
from inspectkit.studies import moved, plan

PAPERS = dict(S1='Corrosion, graded', S2='Grad-CAM on defects', S3='Anomalies from a few anomalies',
              S4='EfficientNet, class by class', S5='What augmentation makes a network look at')
PLACE = dict(walkthrough='pages') # of a report's page, where it is on no paper
WIDE = {'page-layout': 'full', 'toc-location': 'left'} # a report's tables need the room of the contents at the right
EXACT = 'adds up', 'the paper contradicts itself' # the paper's numbers among themselves
AS_IT_IS = 'data-quarto-disable-processing="true"' # else Quarto makes a table of its own, without our attributes


def opened(notebook):
    "A notebook, its title and its description, both taken out of the first cell; what else is there stays."
    nb = read_nb(notebook)
    at = next(i for i, c in enumerate(nb.cells) if c.cell_type == 'markdown')
    title, about, rest = re.match(r'# (.+)\n+(?:> (.+(?:\n> .+)*)\n*)?([\s\S]*)', nb.cells[at].source).groups()
    nb.cells[at] = mk_cell(rest, 'markdown')
    return nb, title, re.sub(r'\n> ', ' ', about or '')


def written(nb, to, **front):
    "A page: the notebook with front matter; links into the published library become links to the page beside it."
    back = '../api/' if to.parent.name != 'api' else ''
    published = re.compile(r'\]\(https://[^)]*?/inspectkit/(\w+\.html)')
    for c in nb.cells:
        if c.cell_type == 'markdown': # a page lies one folder deep, a report two
            c.source = published.sub(rf']({back}\1', c.source).replace('](../../', '](../')
            c.source = c.source.replace('](claims.csv)', '](../pages/claims.qmd)') # the table, as a page
    lines = [f'{k}: {json.dumps(v, ensure_ascii=False)}' for k, v in front.items()]
    nb.cells.insert(0, mk_cell('\n'.join(['---', *lines, '---']), 'raw'))
    to.parent.mkdir(exist_ok=True)
    write_nb(nb, to)


def literal(text):
    "Markdown that shows a text as it is, but for what stands between backticks."
    parts = re.split('(`[^`]+`)', text)
    return ''.join(p if k%2 else re.sub(r'([][\\*_<>\'"$^~|])', r'\\\1', p) for k, p in enumerate(parts))


class Tabled(BasicMarkdownRenderer):
    "A function as its call, its docstring, and a table of its parameters: a phone has no room for long comments."
    def _repr_markdown_(self):
        table = DocmentTbl(self.sym)
        defaults = {n: table.dm.get(n, {}).get('default', inspect._empty) for n in table.params}
        given = {n: getattr(d, '__name__', repr(d)) for n, d in defaults.items()} # a function's name, not its address
        call = ', '.join(n if d is inspect._empty else f'{n}={given[n]}' for n, d in defaults.items())
        for row in table.dm.values(): # `(N, *size)` is no emphasis, '' no pair of curly quotes, <lambda> no tag
            for k in ('docment', 'default'):
                if row.get(k, inspect._empty) is not inspect._empty:
                    row[k] = literal(getattr(row[k], '__name__', str(row[k])))
        parts = f'---\n\n### {self.nm}', f'```python\n{self.nm}({call})\n```', self.docs or '', table._repr_markdown_()
        return '\n\n'.join(parts)


class Processors(FilterDefaults):
    "nbdev's, but for the one that makes the whole first cell the page's title."
    def base_procs(self): return [p for p in super().base_procs() if p is not FrontmatterProc]


def older(page, *sources):
    "Whether a page is missing, or older than one of its sources."
    return not page.exists() or page.stat().st_mtime < max(s.stat().st_mtime for s in sources)


def library(root):
    "One page a module: hidden cells hidden, a table for each function."
    names = {m: int(m.name[:2]) for m in sorted((root/'nbs').glob('[0-9][0-9]_*.ipynb'))}
    common = [Path(__file__), *(root/'inspectkit').glob('*.py')]
    pages = {root/'api'/f'{m.stem[3:]}.ipynb': m for m in names}
    for page in set((root/'api').glob('*.ipynb')) - set(pages): page.unlink()
    nbdev.showdoc.BasicMarkdownRenderer = Tabled
    os.environ['IN_TEST'] = '1' # nbdev's sign that cells run for their documentation only
    for page, m in pages.items():
        if not older(page, m, *common): continue
        nb, title, about = opened(m)
        Processors()(nb)
        written(nb, page, title=title, description=about, order=names[m])


def settled(report):
    "What the last execution of a report found: the data of its colophon, {} if it has none."
    data = [o.get('data', {}).get('application/json', {}) for c in read_nb(report).cells for o in c.get('outputs', [])]
    return next((d for d in data if 'made_from' in d), {})


@functools.cache
def patterns(source):
    "Ids of claims, or patterns of ids, in a cell that judges, and how sure: the more of it is literal, the surer."
    found = []
    if not re.search(r'judged\[|judged (\|=|= \{)|setting\(', source): return found
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append((re.escape(node.value), len(node.value) + 99))
        if isinstance(node, ast.JoinedStr):
            parts = [v.value if isinstance(v, ast.Constant) else None for v in node.values]
            pattern = ''.join('.+' if p is None else re.escape(p) for p in parts)
            found.append((pattern, sum(len(p or '') for p in parts)))
    return found


def cell_of(claim, cells):
    "The id of the cell that judges a claim, None if no cell names it; cells: id and source of each."
    found = [(sure, -i, at) for i, (at, source) in enumerate(cells) for p, sure in patterns(source)
             if re.fullmatch(p, claim) or re.fullmatch(p, claim.partition('.')[2])]
    return max(found)[2] if found else None


def reports(root):
    "A page for each report; ours of each claim that one settles and where it does; the report of each paper."
    where, pages, shown = {}, {}, ('add_show_docs', 'exec_show_docs')
    quiet = [p for p in Processors().procs() if p.__name__ not in shown]
    found = {r: settled(r) for r in sorted((root/'nbs'/'papers').glob('[!_.]*.ipynb'))}
    for k, report in enumerate(sorted(found, key=lambda r: found[r].get('paper') or '~')): # S1 first
        nb, title, about = opened(report)
        data, why = found[report], moved(report.stem)
        if data.get('paper'): pages[data['paper']] = report.stem
        cells = [(c.id, c.source) for c in nb.cells if c.cell_type == 'code']
        at = {i: cell_of(i, cells) for i in data.get('ours', {})}
        for i, ours in data.get('ours', {}).items():
            anchor = f'#at-{at[i]}' if at[i] else ''
            behind = [data['runs'][int(k)] for k in data.get('behind', {}).get(i, '').split()]
            where[i] = dict(ours=ours, cell=f'../papers/{report.stem}.html{anchor}', behind=behind)
        NBProcessor(nb=nb, procs=quiet).process()
        for c in nb.cells: # the code is a click away
            if c.cell_type == 'code': c.source = f'#| code-fold: true\n#| code-summary: Code\n{c.source}'
        for c in [c for c in nb.cells if getattr(c, 'id', None) in at.values()]:
            nb.cells.insert(nb.cells.index(c), mk_cell(f'<a id="at-{c.id}"></a>', 'markdown'))
        late = f'Out of date: the {" and ".join(why)} moved since this page was executed. `make reports` does it again.'
        if why == ['colophon']: late = 'Not executed yet: `make reports` does it, once its runs are there.'
        if why: nb.cells.insert(0, mk_cell(f'::: {{.callout-warning}}\n{late}\n:::', 'markdown'))
        to = root/PLACE.get(report.stem, 'papers')/report.name
        written(nb, to, title=title, description=about, order=k, **WIDE)
    return where, pages


def every_claim():
    "All claims, with the paper of each."
    known = pd.read_csv(repo_root()/'nbs'/'papers'/'claims.csv', dtype=str, keep_default_na=False).paper.unique()
    return pd.concat([claims(p).assign(paper=p) for p in sorted(known) if p in PAPERS], ignore_index=True)


def raw(text):
    "HTML that Pandoc passes through."
    return f'```{{=html}}\n{text}\n```\n'


def kind(verdict):
    "A verdict as the name of a style."
    return re.sub(r'\W+', '-', verdict)


def documents(root):
    "Each paper: what it is and by whom, as the page of data has it."
    return dict(re.findall(r'^\| (S\d) \| (.+) \|$', (root/'pages'/'data.qmd').read_text(encoding='utf-8'), re.M))


def tally(table, pages, about):
    "How many claims of each paper have which verdict, with links; pages: each one's report; about: what each one is."
    def badge(paper, verdict, n):
        query = html.escape(f'pages/claims.html?paper={paper}&verdict={verdict}'.replace(' ', '+'))
        return f'<a class="verdict {kind(verdict)}" href="{query}"><b>{n}</b> {verdict}</a>'
    rows = []
    for paper, own in table.groupby('paper'):
        counts = own.verdict.value_counts()
        badges = ' '.join(badge(paper, v, counts[v]) for v in VERDICTS if v in counts)
        name = f'<b>{paper}</b> {PAPERS[paper]}'
        if paper in pages: name = f'<a href="papers/{pages[paper]}.html">{name}</a>'
        what = f'<p class="document">{html.escape(about[paper])}</p>'
        rows.append(f'<div class="paper"><p>{name}: {len(own)} claims</p>{what}<p>{badges}</p></div>')
    counts = table.verdict.value_counts()
    total = ' '.join(badge('', v, counts[v]) for v in VERDICTS if v in counts)
    every = f'<div class="paper"><p><b>All</b>: {len(table)} claims</p><p>{total}</p></div>'
    return raw('\n'.join(['<div class="tally">', every, *rows, '</div>']))


def said(row):
    "A claim in words: the sentence, or which number it is."
    place = [row.model, f"{'grade' if row.paper == 'S1' else 'class'} {row.grade}" if row.grade else '']
    words = [row.claim, row.metric.replace('_', ' '), *place]
    return ', '.join(w for w in words if w)


def to_runs(i, behind):
    "A link to the runs behind a claim: one run to its row on the page of runs, several to that page with just these."
    if len(behind) == 1: return f'<a href="runs.html#{Path(behind[0]).name}" aria-label="run of {i}">1 run</a>'
    return f'<a href="runs.html?claim={i}" aria-label="runs of {i}">{len(behind)} runs</a>'


def claim_table(table, where):
    "Every claim as a row, with buttons to choose from that work without a framework; without a script all rows show."
    def row(r):
        found = where.get(r.id, {})
        links = [f'<a href="{found["cell"]}" aria-label="cell of {r.id}">cell</a>'] if found else []
        links += [to_runs(r.id, found['behind'])] if found.get('behind') else []
        value = f'{r.value:.6g}' if isinstance(r.value, float) else r.value
        ours, source = html.escape(found.get('ours', '')), html.escape(f'{r.paper}, {r.source}')
        whole = r'\[[^][]*\]|\b[nqp] (= )?\d[\d.]*' # an interval, a number with its letter: each stays on a line
        ours = re.sub(whole, r'<span class="whole">\g<0></span>', ours)
        if ours and r.verdict in EXACT: ours += ' <small>exact</small>' # no error of sampling
        cells = dict(claim=f'{html.escape(said(r))} <small>{r.id}</small>', source=source,
                     paper=html.escape(value), ours=ours,
                     verdict=f'<span class="verdict {kind(r.verdict)}">{r.verdict}</span>', see=' '.join(links))
        tds = ''.join(f'<td data-label="{k}">{v}</td>' for k, v in cells.items())
        return f'<tr id="{r.id}" data-paper="{r.paper}" data-verdict="{r.verdict}">{tds}</tr>'
    heads = ''.join(f'<th scope="col">{h}</th>' for h in ('Claim', 'Where', 'Paper', 'Ours', 'Verdict', 'See'))
    def options(values): return '<option value="">all</option>' + ''.join(f'<option>{v}</option>' for v in values)
    present = set(table.verdict)
    return raw(f'''<form class="choose" id="choose" hidden>
<label>Paper <select name="paper">{options(sorted(set(table.paper)))}</select></label>
<label>Verdict <select name="verdict">{options(v for v in VERDICTS if v in present)}</select></label>
<label>Words <input type="search" name="words"></label>
<output id="shown" aria-live="polite"></output>
</form>
<table class="claims" {AS_IT_IS}><thead><tr>{heads}</tr></thead>
<tbody>
{chr(10).join(row(r) for r in table.itertuples())}
</tbody></table>''')


def studies(root):
    "Folders of runs that are reported: those of a plan, and the walk-through's; none of the user's own."
    there = sorted({f.stem for f in (root/'studies').glob('*.yaml')} | {'walk'})
    return [name for name in there if list((root/'runs'/name).glob('*.json'))]


def took(run):
    "Minutes of a run."
    return sum(run['env']['seconds'].values())/60


def table_of(heads, rows):
    "An HTML table that scrolls by itself."
    head = ''.join(f'<th scope="col">{h}</th>' for h in heads)
    body = '\n'.join('<tr>' + ''.join(f'<td>{c}</td>' for c in row) + '</tr>' for row in rows)
    return raw(f'<table class="runs" {AS_IT_IS}><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>')


def scored(m):
    "What a run's test images gave, in a few words."
    if 'scores' in m: return f"{m['main']}: AUROC {m['scores'][m['main']]['all']['auroc']:.3f}"
    accuracy = m['test'].get('accuracy') if 'test' in m else None
    return '' if accuracy is None else f'{accuracy:.3f}'


def run_tables(root, where):
    "Each run of each study, with what varies, a link to its JSON, and the claims whose number was made from it."
    parts, of = [' · '.join(f'[{s}](#{s})' for s in studies(root)) + '\n\n'], {}
    for i, found in where.items():
        for name in found['behind']: of.setdefault(name, []).append(i)
    for study in studies(root):
        runs, rows = load_runs(study), []
        seen = {} # of each parameter, in runs that have the same ones: its values
        for p in (r['params'] for r in runs):
            for k, v in p.items(): seen.setdefault((k, frozenset(p)), set()).add(str(v))
        for f, r in zip(sorted((root/'runs'/study).glob('*.json')), runs):
            p, env = r['params'], r['env']
            varied = ', '.join(f'{k} {v}' for k, v in p.items()
                               if v not in ('', [], 'none') and len(seen[k, frozenset(p)]) > 1)
            claimed = html.escape(' '.join(of.get(f'{study}/{f.stem}', [])))
            rows.append([f'<a id="{f.stem}" data-claims="{claimed}" href="../runs/{study}/{f.name}">{f.stem}</a>',
                         html.escape(varied),
                         scored(r['metrics']), f'{took(r):.1f}', env['device'],
                         (env['commit'] or '')[:8]])
        heads = 'run', 'what varies', 'test score', 'minutes', 'device', 'commit'
        parts += [f'## {study} {{#{study}}}\n', f'{len(runs)} runs.\n', table_of(heads, rows)]
    return '\n'.join(parts)


def times(root):
    "What each plan takes: as measured, where its runs are there; else as the plan expects."
    lines = ['| study | size | runs | made | hours | on |', '|---|---|---:|---:|---:|---|']
    for f in sorted((root/'studies').glob('[!_]*.yaml')):
        for size in yaml.safe_load(f.read_text(encoding='utf-8')):
            rows = plan(f.stem, size)
            there = [json.loads(r['path'].read_text(encoding='utf-8')) for r in rows if r['path'].exists()]
            rest = sum(r['minutes'] for r in rows if not r['path'].exists())
            envs = [r['env'] for r in there]
            on = {f"CPU, threads: {e['threads']}" if e['device'] == 'cpu' else e['device'] for e in envs}
            if rest: on.add('one GPU, expected' if size in ('paper', 'gpu') else 'CPU, expected')
            hours = (sum(map(took, there)) + rest)/60
            lines.append(f'| {f.stem} | {size} | {len(rows)} | {len(there)} | {hours:.1f} | {"; ".join(sorted(on))} |')
    return '\n'.join(lines) + '\n'


def page(source, texts):
    "A page from its source, _name.qmd: the tables in place of `<!-- name -->`. Quarto would include them too early."
    text = re.sub(r'<!-- (\w+) -->', lambda m: texts[m[1]], source.read_text(encoding='utf-8'))
    made = f'---\n# from {source.name}, by tools/pages.py\n'
    source.with_name(source.name[1:]).write_text(text.replace('---\n', made, 1), encoding='utf-8')


if __name__ == '__main__':
    root = repo_root()
    os.chdir(root/'nbs')
    font = Path(find_spec('matplotlib_fontja').origin).parent/'fonts'/'ipaexg.ttf' # for readers without a Japanese one
    shutil.copy(font, root/'pages'/'ipaexg.ttf')
    library(root)
    (where, pages), table = reports(root), every_claim()
    texts = dict(tally=tally(table, pages, documents(root)), claims=claim_table(table, where),
                 runs=run_tables(root, where), times=times(root))
    for source in (root/'_index.qmd', *(root/'pages').glob('_*.qmd')): page(source, texts)
    print(f'{len(table)} claims, {len(where)} of them with ours')
    gc.freeze() # each shell that ran a module's cells collects garbage at the end, a second each
