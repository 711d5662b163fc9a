// What a page must be for everybody, as a list of what is wrong with this one; run in the page by system.ui_page.
(() => {
  const wrong = [];
  const all = (what) => [...document.querySelectorAll(what)];
  const shown = (e) => e.getClientRects().length > 0 && getComputedStyle(e).visibility !== 'hidden';
  const name = (e) => `${e.tagName.toLowerCase()}${e.id ? '#' + e.id : ''} "${e.textContent.trim().slice(0, 40)}"`;
  const check = (fine, words) => { if (!fine) wrong.push(words); };

  // WCAG 2.4.2, 3.1.1, 1.3.1: title, language, landmarks, headings, labels
  check(document.documentElement.lang === 'en', 'no language');
  check(document.title.length > 8, `title "${document.title}"`);
  for (const landmark of ['header', 'main', 'footer', '[role=search]', '[role=status][aria-live=polite]'])
    check(all(landmark).length === 1, `${all(landmark).length} of ${landmark}`);
  check(all('h1').length === 1, `${all('h1').length} h1`);
  let before = 0;
  for (const h of all('h1, h2, h3, h4, h5, h6').filter(shown)) {
    const level = Number(h.tagName[1]);
    check(level <= before + 1, `h${level} after h${before}: ${name(h)}`);
    before = level;
  }
  for (const field of all('input, select, textarea')) check(field.labels?.length === 1, `${field.labels?.length} labels of ${name(field)}`);
  for (const e of all('button, a, summary')) check(e.textContent.trim() !== '', `nothing is said by ${e.outerHTML.slice(0, 80)}`);
  for (const e of all('img')) check(e.hasAttribute('alt'), `no alt: ${e.outerHTML.slice(0, 80)}`);
  for (const table of all('table')) {
    check(table.caption?.textContent.length > 0, 'a table without caption');
    for (const th of table.querySelectorAll('th')) check(th.scope !== '', `th without scope: ${name(th)}`);
    check([...table.rows].every((row) => row.cells.length === table.rows[0].cells.length), `uneven rows: ${table.caption?.textContent}`);
  }
  const ids = all('[id]').map((e) => e.id);
  check(new Set(ids).size === ids.length, `ids twice: ${ids.filter((id, i) => ids.indexOf(id) !== i)}`);
  for (const e of all('[aria-labelledby]')) check(document.getElementById(e.getAttribute('aria-labelledby')), `labelled by nothing: ${name(e)}`);
  for (const e of all('section')) check(e.querySelector('h2'), `no heading: ${e.id}`);
  check(all('[tabindex]').every((e) => e.tabIndex <= 0), 'an order of tabs of its own');

  // 1.4.3: contrast of all text with what is behind it
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => (v / 255 <= .04045 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const parse = (color) => color.match(/[\d.]+/g).map(Number);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] > 0) return c;
    }
    return parse(getComputedStyle(document.documentElement).backgroundColor);
  };
  const pale = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (walk.currentNode.data.trim() === '' || !shown(e)) continue;
    const a = light(parse(getComputedStyle(e).color).slice(0, 3)), b = light(behind(e).slice(0, 3));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) pale.add(`${ratio.toFixed(1)} ${e.className || e.tagName}`);
  }
  check(pale.size === 0, `too little contrast: ${[...pale].slice(0, 5)}`);

  // 1.4.10: nothing goes beyond the window; 2.5.8: nothing to touch is too small
  check(document.documentElement.scrollWidth <= innerWidth, `${document.documentElement.scrollWidth} wide in ${innerWidth}`);
  for (const e of all('button, input, select').filter(shown)) check(e.getBoundingClientRect().height >= 24, `too low: ${name(e)}`);

  // what the data says stays text
  check(all('main script, main img, main style, main iframe, [onerror], [onclick], [style]').length === 0, 'markup out of data');
  check(!/[\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/.test(document.body.textContent + document.title), 'a character that is obeyed and not seen');
  check(performance.getEntriesByType('resource').every((one) => one.name.startsWith(location.origin + '/')), 'something from elsewhere');
  return wrong.length === 0 ? 'fine' : wrong.join('\n');
})()
