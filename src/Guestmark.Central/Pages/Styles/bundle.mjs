// Makes the one style sheet of the pages from PatternFly's, with the rules that the pages can use and no others:
//   node bundle.mjs PATTERNFLY PAGES OUTPUT
// A rule stays when every class of its selector is named in a page. The dark theme, which PatternFly ties to a class that a
// script would set, becomes a media query. Names of files get a hash of their content, so that browsers may keep them for good.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

const [patternfly, pages, output] = process.argv.slice(2);
const sheets = [
  'patternfly-base.css',
  'components/Alert/alert.css',
  'components/Breadcrumb/breadcrumb.css',
  'components/Button/button.css',
  'components/Card/card.css',
  'components/Check/check.css',
  'components/DescriptionList/description-list.css',
  'components/EmptyState/empty-state.css',
  'components/FormControl/form-control.css',
  'components/Label/label.css',
  'components/Masthead/masthead.css',
  'components/Page/page.css',
  'components/SkipToContent/skip-to-content.css',
  'components/Table/table.css',
  'components/Tabs/tabs.css',
  'components/Title/title.css',
];

const named = new Set(readdirSync(pages, { recursive: true })
  .filter(file => /\.(razor|cs)$/.test(file))
  .flatMap(file => readFileSync(join(pages, file), 'utf8').match(/(pf|gm)-[\w-]+/g) ?? []));

// Blocks of "prelude { body }" and statements without a body, one level deep.
function blocks(css) {
  const found = [];
  let depth = 0, start = 0, open = 0;
  for (let i = 0; i < css.length; i++) {
    if (css[i] === '"' || css[i] === "'") {
      const quote = css[i];
      while (css[++i] !== quote) if (css[i] === '\\') i++;
    } else if (css[i] === '{') {
      if (depth++ === 0) open = i;
    } else if (css[i] === '}' && --depth === 0) {
      found.push({ prelude: css.slice(start, open).trim(), body: css.slice(open + 1, i).trim() });
      start = i + 1;
    } else if (css[i] === ';' && depth === 0) {
      start = i + 1;
    }
  }
  if (depth !== 0) throw new Error('unbalanced braces');
  return found;
}

function selectors(prelude) {
  const list = [];
  let depth = 0, start = 0;
  for (let i = 0; i <= prelude.length; i++) {
    if (prelude[i] === '(') depth++;
    else if (prelude[i] === ')') depth--;
    else if (i === prelude.length || (prelude[i] === ',' && depth === 0)) {
      list.push(prelude.slice(start, i).trim());
      start = i + 1;
    }
  }
  return list;
}

function usable(selector) {
  if (/pf-v6-m-dir-rtl|pf-v6-theme-(felt|glass|high-contrast)/.test(selector)) return false;
  // What is in parentheses are alternatives or exceptions.
  let plain = selector, before;
  do { before = plain; plain = plain.replace(/\([^()]*\)/g, ''); } while (plain !== before);
  return (plain.match(/\.[a-zA-Z][\w-]*/g) ?? []).every(name => named.has(name.slice(1)));
}

function keep(css) {
  return blocks(css).flatMap(({ prelude, body }) => {
    if (/^@(media|supports|container)/.test(prelude)) {
      const inner = keep(body);
      return inner.length === 0 ? [] : [{ prelude, inner }];
    }
    if (prelude.startsWith('@font-face')) return /"Red Hat/.test(body) && /font-style: normal/.test(body) ? [{ prelude, body }] : [];
    if (prelude.startsWith('@')) return [{ prelude, body }];
    const kept = selectors(prelude).filter(usable);
    if (kept.length === 0) return [];
    if (kept.includes(':root:where(.pf-v6-theme-dark)'))
      return [{ prelude: '@media (prefers-color-scheme: dark)', inner: [{ prelude: ':root', body }] }];
    return [{ prelude: kept.join(','), body }];
  });
}

const declarations = body => body.split(/;(?![^(]*\))/).map(text => text.trim()).filter(text => text.length > 0);

// Custom properties that nothing reads, and keyframes that nothing plays, until there are no more of them.
function sweep(rules) {
  for (;;) {
    const text = write(rules);
    const read = new Set((text.match(/var\(\s*--[\w-]+/g) ?? []).map(use => use.replace(/^var\(\s*/, '')));
    const played = new Set((text.match(/animation(-name)?:[^;}]*/g) ?? []).concat(text.match(/--[\w-]*[aA]nimation[\w-]*:[^;}]*/g) ?? [])
      .flatMap(use => use.match(/[\w-]+/g)));
    let removed = 0;
    const visit = list => list.filter(rule => {
      if (rule.inner) {
        rule.inner = visit(rule.inner);
        return rule.inner.length > 0;
      }
      const [at, name] = rule.prelude.split(/\s+/);
      if ((at === '@keyframes' && !played.has(name)) || (at === '@property' && !read.has(name))) {
        removed++;
        return false;
      }
      if (rule.prelude.startsWith('@')) return true;
      const all = declarations(rule.body);
      const used = all.filter(text => !text.startsWith('--') || read.has(text.slice(0, text.indexOf(':')).trim()));
      removed += all.length - used.length;
      rule.body = used.join(';');
      return used.length > 0;
    });
    rules = visit(rules);
    if (removed === 0) return rules;
  }
}

const write = rules => rules.map(rule => `${rule.prelude.replace(/\s+/g, ' ')}{${rule.inner ? write(rule.inner) : rule.body.replace(/\s+/g, ' ')}}`).join('\n');

function emit(name, content) {
  const hash = createHash('sha256').update(content).digest('hex').slice(0, 16);
  const [, stem, extension] = /^(.*)(\.\w+)$/.exec(name);
  const hashed = `${stem}.${hash}${extension}`;
  writeFileSync(join(output, hashed), content);
  return hashed;
}

mkdirSync(output, { recursive: true });
const source = sheets.map(sheet => readFileSync(join(patternfly, sheet), 'utf8'))
  .concat(readFileSync(join(pages, 'Styles/guestmark.css'), 'utf8'))
  .join('\n')
  .replace(/\/\*[\s\S]*?\*\//g, '');
const css = write(sweep(keep(source))).replace(/url\("(\.[^"]+)"\)/g, (_, path) => {
  const font = path.slice(path.indexOf('assets/'));
  return `url("${emit(basename(font), readFileSync(join(patternfly, font)))}")`;
});
emit('guestmark.css', css);
emit('guestmark.svg', readFileSync(join(pages, 'Styles/guestmark.svg')));
