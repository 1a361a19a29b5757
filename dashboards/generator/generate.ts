// Writes ../grafana/<uid>.json; with --check it writes nothing, and fails where a file is not what would be written.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { carbon } from "./boards/carbon.ts";
import { gpu } from "./boards/gpu.ts";
import { node } from "./boards/node.ts";
import { overview } from "./boards/overview.ts";
import { resultsBoard } from "./boards/results.ts";
import { self } from "./boards/self.ts";
import { slurm } from "./boards/slurm.ts";
import { workload } from "./boards/workload.ts";
import { faults } from "./lint.ts";
import { build } from "./shared/board.ts";

const boards = [overview, workload, node, gpu, slurm, carbon, resultsBoard, self];
const folder = join(dirname(fileURLToPath(import.meta.url)), "../grafana");
const check = process.argv.includes("--check");

const built = boards.map(build);
const wrong = faults(built);
const texts = new Map(built.map((board) => [`${board.uid}.json`, `${JSON.stringify(board, null, 2)}\n`]));

if (check) {
  const there = existsSync(folder) ? readdirSync(folder) : [];
  for (const name of there.filter((name) => !texts.has(name))) wrong.push(`dashboards/grafana/${name}: no board here makes it`);
  for (const [name, text] of texts) {
    if (!there.includes(name)) wrong.push(`dashboards/grafana/${name}: missing; run dashboards/generator/generate`);
    else if (readFileSync(join(folder, name), "utf8") !== text) wrong.push(`dashboards/grafana/${name}: not current; run dashboards/generator/generate`);
  }
} else {
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of texts) writeFileSync(join(folder, name), text);
}

for (const fault of wrong) console.error(fault);
console.log(`${built.length} boards, ${built.reduce((sum, board) => sum + (board.panels?.length ?? 0), 0)} panels, ${wrong.length} faults`);
process.exitCode = wrong.length === 0 ? 0 : 1;
