// The dial behind Grafana's Gauge. The component hands its drawing to a plugin of jQuery that Grafana's server brings and no
// package holds; this draws the same options onto a canvas.
import $ from 'jquery';

const START = 0.9 * Math.PI;
const END = 2.1 * Math.PI;

$.plot = (element, [{ data }], { series: { gauges } }) => {
  const { gauge, threshold, value: label } = gauges;
  const [[, value]] = data;
  const { clientWidth: width, clientHeight: height } = element;
  const context = surface(element, width, height);

  const outside = (threshold.show ? threshold.width + 2 : 0) + (threshold.label.show ? threshold.label.font.size + threshold.label.margin : 0);
  // The ends of the arc lie below the centre.
  const radius = Math.max(1, Math.min(width / 2, height / (1 + Math.sin(0.1 * Math.PI))) - outside - 2);
  const centre = { x: width / 2, y: (height - (radius + outside) * (1 + Math.sin(0.1 * Math.PI))) / 2 + radius + outside };
  const angle = (number) => START + (END - START) * Math.min(1, Math.max(0, (number - gauge.min) / (gauge.max - gauge.min || 1)));
  const ring = (from, to, outer, thickness, colour) => {
    context.beginPath();
    context.arc(centre.x, centre.y, outer, from, to);
    context.arc(centre.x, centre.y, Math.max(0, outer - thickness), to, from, true);
    context.closePath();
    context.fillStyle = colour;
    context.fill();
  };

  ring(START, END, radius, gauge.width, gauge.background.color);
  const neutral = angle(Number.isFinite(gauge.neutralValue) ? gauge.neutralValue : gauge.min);
  if (Number.isFinite(value)) ring(Math.min(neutral, angle(value)), Math.max(neutral, angle(value)), radius, gauge.width, label.color);

  if (threshold.show) {
    let from = START;
    for (const step of threshold.values) {
      ring(from, angle(step.value), radius + threshold.width + 2, threshold.width, step.color);
      from = angle(step.value);
    }
  }
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  if (threshold.label.show) {
    context.font = `${threshold.label.font.size}px ${label.font.family}`;
    for (const { value: at, color } of threshold.values) {
      const away = radius + threshold.label.margin + threshold.label.font.size;
      context.fillStyle = color;
      context.fillText(String(at), centre.x + away * Math.cos(angle(at)), centre.y + away * Math.sin(angle(at)));
    }
  }
  context.font = `${label.font.size}px ${label.font.family}`;
  context.fillStyle = label.color;
  context.fillText(label.formatter(), centre.x, centre.y - label.font.size * 0.1);
};

function surface(element, width, height) {
  const canvas = document.createElement('canvas');
  const ratio = window.devicePixelRatio;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  element.replaceChildren(canvas);
  const context = canvas.getContext('2d');
  context.scale(ratio, ratio);
  return context;
}
