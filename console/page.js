// The few words in which views speak to the document: find, make, show, say. Text is always set as text.

/** The element with this id, which is there: index.html and the scripts are one piece. */
export function find(id) {
  return document.getElementById(id);
}

/** A new element with properties (attributes where the name has a dash, or is `role`) and children. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes('-') || name === 'role') element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

const SVG = 'http://www.w3.org/2000/svg';

/** An icon from the sprite of index.html. */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `#i-${name}`);
  svg.append(use);
  return svg;
}

/** Changes the icon of a button that has one. */
export function setIcon(button, name) {
  button.querySelector('use').setAttribute('href', `#i-${name}`);
}

/** Shows an element or hides it. */
export function show(element, visible) {
  element.hidden = !visible;
}

/** Sets a text, and only if it is another: live regions are read again at each change. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Shows a sentence in an element, or hides the element where there is none. */
export function tell(element, sentence) {
  setText(element, sentence);
  show(element, sentence !== '');
}

/** Has a screen reader say something when it is done with what it says. */
export function say(sentence) {
  setText(find('said'), sentence);
}

/** Has a screen reader say something at once. */
export function cry(sentence) {
  setText(find('cried'), sentence);
}

/** Moves the focus to a heading or panel without scrolling wildly. */
export function focusOn(element) {
  element.focus({ preventScroll: element.getBoundingClientRect().top >= 0 });
}
