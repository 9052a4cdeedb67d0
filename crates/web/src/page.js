// Shows both answers in step as they are sent, and sends a form once. Everything but the pace works without this file.
"use strict";

const battle = document.querySelector("[data-events]");
if (battle) {
  const sides = { a: document.getElementById("answer-a"), b: document.getElementById("answer-b") };
  const status = document.getElementById("status");
  const events = new EventSource(battle.dataset.events);
  events.addEventListener("piece", (event) => {
    const piece = JSON.parse(event.data);
    // As text: whatever an answer holds, it is never markup.
    sides.a.append(piece.a);
    sides.b.append(piece.b);
    status.textContent = "Both answers are being shown, letter for letter at the same pace.";
  });
  events.addEventListener("done", () => {
    events.close();
    if (battle.dataset.medium !== "text") {
      location.reload();
      return;
    }
    status.textContent = "Both answers are complete.";
    document.getElementById("vote").hidden = false;
  });
  events.addEventListener("over", () => {
    events.close();
    location.reload();
  });
  events.addEventListener("error", () => {
    status.textContent = "The connection was lost; trying again.";
  });
}

// Pictures and films appear together, whichever is loaded first. A browser may load a film only when it is asked to play: it is shown then.
const shown = [...document.querySelectorAll(".side img, .side video")];
const isFilm = (media) => media.tagName === "VIDEO";
const isLoaded = (media) => (isFilm(media) ? media.readyState >= 2 : media.complete);
if (shown.some((media) => !isLoaded(media))) {
  const frame = document.querySelector(".sides");
  frame.classList.add("held");
  const film = (media) => new Promise((resolve) => {
    for (const event of ["loadeddata", "error", "suspend"]) {
      media.addEventListener(event, resolve, { once: true });
    }
    setTimeout(resolve, 10000);
  });
  const loaded = (media) => (isFilm(media) ? film(media) : media.decode().catch(() => {}));
  Promise.all(shown.filter((media) => !isLoaded(media)).map(loaded)).then(() => frame.classList.remove("held"));
}

for (const form of document.forms) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) {
      event.preventDefault();
    }
    form.dataset.sent = "yes";
  });
}

// A page that comes back from the history may send its form again.
addEventListener("pageshow", () => {
  for (const form of document.forms) {
    delete form.dataset.sent;
  }
});

const prompt = document.getElementById("prompt");
if (prompt) {
  prompt.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      prompt.form.requestSubmit();
    }
  });
}
