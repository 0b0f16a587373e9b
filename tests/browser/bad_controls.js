// Controls without a name, and those smaller than 24 by 24 pixels (WCAG 2.2, 2.5.8; links within text are exempt).
() => {
  const found = [];
  for (const element of document.querySelectorAll("button, input:not([type=hidden]), select, summary, nav a, .card a")) {
    if (!element.checkVisibility({ visibilityProperty: true })) continue;
    const label = element.labels?.[0]?.textContent.trim() || element.labels?.[0]?.querySelector("img")?.alt || element.getAttribute("aria-label") || element.textContent || element.value;
    if (!label?.trim()) found.push(`no name: ${element.outerHTML.slice(0, 120)}`);
    const box = (element.closest("label") ?? element).getBoundingClientRect();
    const own = !element.closest("#container");
    if (own && (box.width < 24 || box.height < 24)) found.push(`${Math.round(box.width)}x${Math.round(box.height)}: ${element.outerHTML.slice(0, 90)}`);
  }
  return found;
}
