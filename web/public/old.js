// In the oldest JavaScript, for browsers that cannot run the page's own.
if (typeof OffscreenCanvas === "undefined" || !("noModule" in document.createElement("script"))) {
  var trouble = document.getElementById("trouble");
  trouble.textContent =
    "This browser is too old for the page: update it, or use a current Chrome, Edge, " +
    "Firefox or Safari (16.4 or later).";
  trouble.hidden = false;
}
