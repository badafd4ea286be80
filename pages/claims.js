// Choose claims by paper, verdict and words. The choice stands in the address, so that it can be sent to somebody.
(() => {
  const form = document.getElementById("choose");
  const rows = [...document.querySelectorAll("table.claims tbody tr")];
  const text = rows.map((r) => r.textContent.toLowerCase());
  const show = () => {
    const want = Object.fromEntries(new FormData(form));
    const words = want.words.toLowerCase().split(/\s+/).filter(Boolean);
    let n = 0;
    rows.forEach((r, i) => {
      const fits = (!want.paper || r.dataset.paper === want.paper) && (!want.verdict || r.dataset.verdict === want.verdict)
        && words.every((w) => text[i].includes(w));
      r.hidden = !fits;
      n += fits;
    });
    document.getElementById("shown").textContent = `${n} of ${rows.length} claims`;
    const query = new URLSearchParams(Object.entries(want).filter(([, v]) => v)).toString();
    history.replaceState(null, "", location.pathname + (query ? "?" + query : "") + location.hash);
  };
  for (const [k, v] of new URLSearchParams(location.search)) if (form.elements[k]) form.elements[k].value = v;
  form.hidden = false;
  form.addEventListener("input", show);
  form.addEventListener("submit", (e) => e.preventDefault());
  show();
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target) target.scrollIntoView();
})();
