"""The page's style sheet: two themes by the reader's own setting, no file, font or image from anywhere else.

The series' colors follow Okabe and Ito's set (jfly.uni-koeln.de/color), each at least 3:1 against both pages; text is
at least 4.5:1 (WCAG 2.2, 1.4.3 and 1.4.11).
"""

CSS = """
:root{color-scheme:light dark;--page:#fff;--card:#f5f7f9;--text:#1c2126;--soft:#4d565f;--rule:#c9d0d6;--link:#0f5c94;
--warn:#9a3d00;--s0:#1f78b4;--s1:#cf5a0a;--s2:#0a8f6a;--s3:#b0609a;--s4:#a8780a;--s5:#7a7f87}
@media (prefers-color-scheme:dark){:root{--page:#14181e;--card:#1d232b;--text:#e6eaee;--soft:#aab3bc;--rule:#3b444e;
--link:#7cbdf0;--warn:#ffab70}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:74rem;padding:1rem 1.25rem 3rem;background:var(--page);color:var(--text);
font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}
h1{font-size:1.6rem;line-height:1.2;margin:.25rem 0}
h2{font-size:1.2rem;margin:2rem 0 .5rem}h3{font-size:1rem;margin:1rem 0 .25rem}
p{margin:.4rem 0;max-width:62rem}a{color:var(--link)}
.soft,caption,small{color:var(--soft)}
.warn{color:var(--warn);font-weight:600}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.skip{position:absolute;left:-99rem}.skip:focus{position:static}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(13rem,1fr));gap:.75rem;
margin:1rem 0;padding:0;list-style:none}
.tiles li{background:var(--card);border:1px solid var(--rule);border-radius:.5rem;padding:.7rem .9rem}
.tiles b{display:block;white-space:nowrap;font-size:1.3rem;font-weight:650;line-height:1.3;
font-variant-numeric:tabular-nums}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,30rem),1fr));gap:0 2rem}.two>*{min-width:0}
figure{margin:.5rem 0;max-width:46rem}.chart{display:block;width:100%;height:auto;overflow:visible}
.chart text{fill:var(--soft);font-size:16px;font-variant-numeric:tabular-nums}
.grid{stroke:var(--rule);stroke-width:1}.open{opacity:.45}
.s0{fill:var(--s0)}.s1{fill:var(--s1)}.s2{fill:var(--s2)}.s3{fill:var(--s3)}.s4{fill:var(--s4)}.s5{fill:var(--s5)}
.mark{fill:var(--warn)}.line{fill:none;stroke:var(--s0);stroke-width:3}.cone{fill:var(--s0);opacity:.22}
.middle{fill:none;stroke:var(--s0);stroke-width:2;stroke-dasharray:6 5}
.whisker{fill:none;stroke:var(--s0);stroke-width:2}
.limit{stroke:var(--s1);stroke-width:2;stroke-dasharray:2 4}.chart .word{fill:var(--text)}
.key{display:flex;flex-wrap:wrap;gap:.15rem 1rem;margin:.25rem 0;padding:0;list-style:none;font-size:.9rem}
.key li{overflow-wrap:anywhere}.key svg{width:.8rem;height:.8rem;margin-right:.35rem;vertical-align:-.05rem}
.box{overflow-x:auto;margin:.5rem 0}
table{border-collapse:collapse;font-size:.9rem;min-width:min(100%,24rem)}
caption{text-align:left;padding:.2rem 0}
th,td{text-align:left;padding:.25rem .75rem .25rem 0;border-bottom:1px solid var(--rule);vertical-align:top;
overflow-wrap:break-word;max-width:22rem}
.k{white-space:nowrap}
thead th{white-space:nowrap}tbody th{font-weight:500}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.share{width:5rem;height:.5rem}summary{cursor:pointer;color:var(--link)}
code{font:.85em ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere}
footer{margin-top:2.5rem;border-top:1px solid var(--rule);padding-top:.5rem}
@media print{details{display:none}}
"""
