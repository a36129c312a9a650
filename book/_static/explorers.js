// The explorers' one idea: find the words that book/kit/explorer.py computed for what the reader has chosen.
(function () {
  "use strict";

  // Position of a choice in the product of a slot's axes, counted like the digits of a number.
  function look(slot, sizes, chosen) {
    const position = slot.axes.reduce((sum, axis) => sum * sizes[axis] + chosen[axis], 0);
    return slot.words[slot.at ? slot.at[position] : position];
  }

  function start(section) {
    const data = JSON.parse(section.querySelector('script[type="application/json"]').textContent);
    const selects = Array.from(section.querySelectorAll("select"));
    const answer = section.querySelector(".kit-answer");

    function update() {
      const chosen = {};
      const words = {};
      for (const select of selects) {
        chosen[select.name] = select.selectedIndex;
        words[select.name] = select.options[select.selectedIndex].text;
      }
      for (const [name, slot] of Object.entries(data.slots)) words[name] = look(slot, data.axes, chosen);
      answer.textContent = data.answer.replace(/\{(\w+)\}/g, (_, name) => words[name]);
      for (const place of section.querySelectorAll("[data-slot]")) place.textContent = words[place.dataset.slot];
      for (const shape of section.querySelectorAll("[data-slots]")) {
        for (const pair of shape.dataset.slots.split(" ")) {
          const [attribute, name] = pair.split(":");
          shape.setAttribute(attribute, words[name]);
        }
      }
    }

    section.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
    section.addEventListener("change", update);
    update(); // a browser may have kept an earlier choice over a reload
  }

  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll(".kit-explorer").forEach(start));
})();
