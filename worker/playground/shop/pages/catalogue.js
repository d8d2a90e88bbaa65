(() => {
  // Shows only the troubles that fit the chosen gateway, and what the chosen one does.
  const trouble = document.getElementById("trouble"), about = document.getElementById("trouble-about");
  const all = [...trouble.options];
  const fit = () => {
    const provider = document.querySelector("[name=account]:checked").dataset.provider;
    const chosen = trouble.value;
    const fits = all.filter((one) => !one.dataset.fits || one.dataset.fits.split(" ").includes(provider));
    for (const one of fits) one.textContent = one.dataset.title ?? one.textContent;
    trouble.replaceChildren(...fits);
    trouble.value = fits.some((one) => one.value === chosen) ? chosen : "";
    tell();
  };
  const tell = () => { about.textContent = trouble.selectedOptions[0].dataset.what; };
  for (const one of document.querySelectorAll("[name=account]")) one.addEventListener("change", fit);
  trouble.addEventListener("change", tell);
  fit();
})();
