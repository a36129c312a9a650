// The checklist's page: ticks that the browser keeps, commands to copy, and the answers of your own account pasted in.
(function () {
  "use strict";
  const KEY = "course-checklist";

  // A browser may refuse storage (private windows, strict settings); the list then works until the page is closed.
  function stored() {
    try {
      const found = JSON.parse(localStorage.getItem(KEY) || "{}");
      return found && typeof found === "object" ? found : {};
    } catch {
      return {};
    }
  }

  function store(ticks) {
    try {
      localStorage.setItem(KEY, JSON.stringify(ticks));
      return true;
    } catch {
      return false;
    }
  }

  function copy(text) {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done ? Promise.resolve() : Promise.reject(new Error("refused"));
  }

  function start(section) {
    const boxes = Array.from(section.querySelectorAll('input[type="checkbox"]'));
    const count = section.querySelector(".kit-count");
    const said = section.querySelector(".kit-said");

    function show() {
      const done = boxes.filter((box) => box.checked).length;
      count.textContent = `${done} of ${boxes.length} done`;
    }

    function keep() {
      const kept = store(Object.fromEntries(boxes.map((box) => [box.value, box.checked])));
      if (!kept) said.textContent = "This browser keeps nothing for this page: the ticks last until you close it.";
      show();
    }

    function told(text) {
      let items;
      try {
        items = JSON.parse(text).items;
        if (!Array.isArray(items)) throw new TypeError("no items");
      } catch {
        said.textContent = "That is not the output of course finops checklist --json. Copy all of it, from { to }.";
        return;
      }
      let seen = 0;
      for (const item of items) {
        const box = boxes.find((one) => one.value === item.item);
        const place = box && box.closest("li").querySelector(".kit-evidence");
        if (!place) continue;
        seen += 1;
        box.checked = item.state === "done";
        place.textContent = `Your account: ${item.state}. ${item.evidence}`;
      }
      keep();
      said.textContent = `${seen} items read from your account's answer.`;
    }

    const ticks = stored();
    for (const box of boxes) box.checked = ticks[box.value] === true;
    show();
    section.addEventListener("change", (event) => event.target.type === "checkbox" && keep());
    section.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      if (button.dataset.copy) {
        copy(button.dataset.copy).then(
          () => (said.textContent = `Copied: ${button.dataset.copy}`),
          () => (said.textContent = "The browser refused to copy; select the command instead."),
        );
      } else if (button.dataset.do === "read") {
        told(section.querySelector("textarea").value);
      } else if (button.dataset.do === "clear") {
        for (const box of boxes) box.checked = false;
        for (const place of section.querySelectorAll(".kit-evidence")) place.textContent = "";
        keep();
        said.textContent = "All ticks are gone.";
      }
    });
  }

  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll(".kit-checklist").forEach(start));
})();
