// A frame as a table.
import { TableNG } from 'grafana-ui-internal/components/Table/TableNG/TableNG';

export function TableOfFrame({ frames, options, width, height, timeRange }) {
  const filled = frames.filter(({ fields }) => fields.length > 0);
  // Grafana would show the first, and a list below to choose another from.
  if (filled.length > 1) throw new Error(`${filled.length} frames in one table: join or merge them with a transformation`);
  const [frame] = filled;
  return (
    <TableNG
      data={frame}
      width={width}
      height={height}
      noHeader={options.showHeader === false}
      cellHeight={options.cellHeight ?? 'sm'}
      enablePagination={options.enablePagination ?? options.footer?.enablePagination ?? false}
      initialSortBy={options.sortBy}
      frozenColumns={options.frozenColumns?.left ?? 0}
      timeRange={timeRange}
      structureRev={1}
    />
  );
}
