// Text in Markdown or HTML.
import { renderTextPanelMarkdown, textUtil } from '@grafana/data';

export function TextPanel({ options: { mode = 'markdown', content = '' }, replace }) {
  const text = replace(content);
  if (mode === 'code') return <pre>{text}</pre>;
  const html = mode === 'html' ? textUtil.sanitizeTextPanelContent(text) : renderTextPanelMarkdown(text);
  return <div className="markdown-html" style={{ height: '100%', overflow: 'auto' }} dangerouslySetInnerHTML={{ __html: html }} />;
}
