// The runs of one claim, runs.html?claim=S1.near: all others are hidden until they are asked for.
(() => {
  const claim = new URLSearchParams(location.search).get("claim");
  const links = [...document.querySelectorAll("table.runs a[data-claims]")];
  const own = links.filter((a) => a.dataset.claims.split(" ").includes(claim));
  if (!own.length) return;
  const sections = [...document.querySelectorAll("main section")].filter((s) => s.querySelector("table.runs"));
  const others = [...sections.filter((s) => !own.some((a) => s.contains(a))),
    ...sections.map((s) => s.querySelector("p")), // how many there are of the study
    document.querySelector('main a[href="#aae"]').closest("p"),
    ...links.filter((a) => !own.includes(a)).map((a) => a.closest("tr"))];
  const shown = document.createElement("p");
  shown.className = "of-claim";
  shown.innerHTML = `The <b>${own.length} runs</b> behind the claim <a></a>. <button type="button">All ${links.length} runs</button>`;
  Object.assign(shown.querySelector("a"), { textContent: claim, href: `claims.html#${claim}` });
  shown.querySelector("button").addEventListener("click", () => {
    for (const e of others) e.hidden = false;
    shown.remove();
    history.replaceState(null, "", location.pathname);
  });
  for (const e of others) e.hidden = true;
  sections[0].before(shown);
})();
