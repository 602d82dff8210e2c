// For browsers without modules, which run nothing else of this page.
document.addEventListener("DOMContentLoaded", function () {
  var trouble = document.getElementById("trouble");
  trouble.textContent =
    "This browser is too old for the page: update it, or use a current Chrome, Edge, " +
    "Firefox or Safari.";
  trouble.hidden = false;
});
