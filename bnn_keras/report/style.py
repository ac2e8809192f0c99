"""How the page looks: one column, or two if there is room; light or dark, like the reader's system."""

STYLE = """
:root { --text: #22262c; --quiet: #59616d; --ground: #fff; --card: #f4f5f7; --rule: #d9dce1;
  --good: #00694e; --bad: #b03a00 }
@media (prefers-color-scheme: dark) {
  :root { --text: #e4e7ec; --quiet: #a4acb8; --ground: #16191e; --card: #20242b; --rule: #3c424c;
    --good: #4fd3a8; --bad: #f5a26b } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 70rem; padding: 1.5rem 1rem 4rem; background: var(--ground);
  color: var(--text); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { margin: 0; font-size: 1.7rem; line-height: 1.2 }
h2 { margin: 2.5rem 0 .75rem; padding-top: .75rem; border-top: 1px solid var(--rule); font-size: 1.2rem }
p { margin: .5rem 0; max-width: 48rem }
header p, figcaption, dt, caption { color: var(--quiet) }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem;
  margin: 1.5rem 0 0 }
.facts div { padding: .6rem .8rem; border-radius: .5rem; background: var(--card) }
dt { font-size: .8rem }
dd { margin: 0; font-size: 1.15rem; white-space: nowrap; font-weight: 600;
  font-variant-numeric: tabular-nums }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); gap: 1rem }
.charts img { display: block; width: 100%; height: auto }
.drawing { display: block; max-width: 100%; height: auto; margin: .75rem 0; border-radius: .5rem }
.samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(7rem, 1fr)); gap: .75rem }
figure { margin: 0; padding: .5rem; border-radius: .5rem; background: var(--card) }
figure img { display: block; width: 100%; aspect-ratio: 1; border-radius: .25rem }
.pixels { image-rendering: pixelated }
figcaption span { display: block }
figcaption { margin-top: .4rem; font-size: .8rem; line-height: 1.35 }
.right { color: var(--good); font-weight: 600 }
.wrong { color: var(--bad); font-weight: 600 }
.wide { overflow-x: auto; margin: .75rem 0 }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums }
caption { text-align: left; padding-bottom: .3rem }
th, td { padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--rule); text-align: left;
  vertical-align: top; overflow-wrap: normal }
.number { text-align: right; white-space: nowrap }
summary { cursor: pointer; margin: .75rem 0; color: var(--quiet) }
@media print { details:not([open]) > * { display: block } }
"""
