// Which page is this: a phone's or the board's? What the link says is in the fragment, which no server ever sees.
import { Link } from "./link.js";
import { showBoard } from "./board.js";
import { Phone } from "./phone.js";
import { put, statusText } from "./show.js";

const KEPT = "twenty";

function ticket() {
  const given = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  if (given.token) {
    sessionStorage.setItem(KEPT, JSON.stringify(given));
    history.replaceState(null, "", location.pathname); // the token does not stay in the address bar
  }
  return JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
}

const mine = ticket();
if (mine === null) {
  put("main", [["p", { class: "lead" }, "Open the link that `make game` printed."]]);
} else {
  document.body.dataset.seat = mine.seat;
  const phone = mine.seat === "board" ? null : new Phone(mine.seat);
  const link = new Link(mine, {
    state: (state) => (phone ? phone.show(state) : showBoard(state)),
    event: (event) => phone?.heard(event),
    status: (status) => {
      const pill = document.getElementById("link");
      pill.dataset.state = status.state;
      pill.textContent = statusText(status, mine.transport);
      document.body.dataset.link = status.state;
      phone?.connected(status.state === "live");
    },
  });
  phone?.play((transition, change) => link.apply(transition, change));
  window.addEventListener("hashchange", () => location.reload());
  window.gameLink = link; // for the tests, and for the curious in the console
  link.start();
}
