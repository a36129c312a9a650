// Draws the figures that book/kit/figures.py wrote into the page, in the colors of the reader's theme.
(function () {
  "use strict";

  function themeColors() {
    const css = getComputedStyle(document.documentElement);
    const read = (name, fallback) => css.getPropertyValue(name).trim() || fallback;
    return {
      text: read("--kit-text", "#1b1f24"),
      grid: read("--kit-grid", "#d0d4da"),
      page: read("--kit-page", "#ffffff"),
    };
  }

  // What a theme changes, as plotly's flat keys; the figure's own settings win.
  function themeKeys(layout, colors) {
    const keys = {
      "font.color": colors.text,
      "hoverlabel.bgcolor": colors.page,
      "hoverlabel.bordercolor": colors.text,
      "hoverlabel.font.color": colors.text,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      "legend.bgcolor": "rgba(0,0,0,0)",
    };
    const axes = Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key));
    for (const axis of new Set(["xaxis", "yaxis", ...axes])) {
      keys[axis + ".gridcolor"] = colors.grid;
      keys[axis + ".zerolinecolor"] = colors.grid;
      keys[axis + ".linecolor"] = colors.text;
      keys[axis + ".automargin"] = true;
    }
    (layout.shapes || []).forEach((shape, index) => {
      if (!shape.line || !shape.line.color) keys["shapes[" + index + "].line.color"] = colors.text;
    });
    return keys;
  }

  function draw(plot) {
    const source = plot.querySelector('script[type="application/json"]');
    const figure = JSON.parse(source.textContent);
    plot.kitLayout = figure.layout;
    const config = { displayModeBar: false, responsive: true, scrollZoom: false };
    return Plotly.newPlot(plot, figure.data, figure.layout, config)
      .then(() => Plotly.relayout(plot, themeKeys(figure.layout, themeColors())))
      .then(() => plot.setAttribute("data-kit-drawn", document.documentElement.dataset.theme || "light"));
  }

  function restyle(plots) {
    const colors = themeColors();
    for (const plot of plots) {
      if (!plot.kitLayout) continue;
      Plotly.relayout(plot, themeKeys(plot.kitLayout, colors)).then(() =>
        plot.setAttribute("data-kit-drawn", document.documentElement.dataset.theme || "light"),
      );
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    const plots = document.querySelectorAll(".kit-plot");
    plots.forEach(draw);
    new MutationObserver(() => restyle(plots)).observe(document.documentElement, {
      attributes: true,
      attributeFilter: ["data-theme"],
    });
  });
})();
