// The types of the page: what the backend answers (docs/openapi.json), and what the modules share.
// They are for `tsc` only. No browser loads them.

export type Interval = [number, number];
export type State = "running" | "stopped" | "archived";
export type Kind = "unique" | "total" | "value";
export type Role = "primary" | "guardrail" | "secondary";
export type Better = "higher" | "lower";
export type GuardrailState = "held" | "broken" | "open";
export type VerdictState =
  | "winner" | "loser" | "no_difference" | "inconclusive" | "keep_collecting" | "do_not_trust";

/** One variant of one goal. */
export interface Row {
  label: string;
  trials: number;
  successes: number;
  rate: number | null;
  rate_interval: Interval | null;
  lift: number | null;
  lift_interval: Interval | null;
  p_value: number | null;
  p_value_adjusted: number | null;
  lift_interval_always_valid: Interval | null;
  p_value_always_valid: number | null;
  p_value_always_valid_adjusted: number | null;
  chance_to_beat_baseline: number | null;
  chance_to_be_best: number | null;
  expected_loss: number | null;
  sum: number | null;
  above_cap: number | null;
}

export interface Verdict {
  state: VerdictState;
  winner: string | null;
  variant: string | null;
  reason: string;
  next_step: string;
  since: string | null;
  days_needed: Interval | null;
  recorded: {
    state: VerdictState;
    variant: string | null;
    at: string;
    visitors: number;
    lift: number | null;
    interval: Interval | null;
  } | null;
}

export interface Goal {
  goal: string;
  kind: Kind;
  role: Role;
  better: Better;
  guardrail: Record<string, GuardrailState> | null;
  samples: number | null;
  verdict: Verdict;
  results: Row[];
}

export interface DeclaredGoal {
  name: string;
  kind?: Kind | null;
  role?: Role | null;
  from?: "anyone" | "server" | null;
  better?: Better | null;
  cap?: number | null;
  margin?: number | null;
}

export interface Definition {
  variants: { name: string; weight?: number | null }[];
  goals: DeclaredGoal[];
  hypothesis?: string | null;
  owner?: string | null;
  link?: string | null;
  planned_visitors?: number | null;
  flag?: boolean;
  traffic?: number | null;
}

export interface Decision {
  winner: string;
  reason: string;
  at: string;
  figures: {
    at: string;
    goals: { goal: string; role: Role; variants: Pick<Row, "label" | "lift" | "lift_interval_always_valid">[] }[];
  } | null;
}

/** A check of how the events of an experiment arrive. */
export interface Check {
  kind: string;
  level: "ok" | "warning" | "alarm";
  sentence: string;
  next_step: string | null;
}

/** One variant at a past time. */
export type HistoryRow =
  Pick<Row, "label" | "trials" | "rate" | "lift" | "lift_interval_always_valid"> & { successes: number | null };

export interface History {
  goal: string | null;
  baseline: string | null;
  recorded: Verdict["recorded"];
  snapshots: { time: string; variants: HistoryRow[] }[];
}

export interface Matrix {
  goal: string;
  pairs: { label: string; against: string; lift: number | null; p_value_always_valid_adjusted: number | null }[];
}

/** Messages with events that are not counted yet. */
export interface Pile {
  messages: number;
  seconds: number | null;
  seconds_left: number | null;
}

export interface Backlog {
  waiting?: Pile | null;
  set_aside?: Pile | null;
  waiting_events?: number | null;
}

export interface Ignored {
  reasons: Record<string, number>;
  last: { reason: string; experiment: string; goal: string; variant: string }[];
}

export interface Experiment extends Backlog {
  experiment: string;
  key_scope?: "owner" | "read";
  declared: boolean;
  created_at: string | null;
  state: State;
  decision: Decision | null;
  health?: Check[];
  baseline: string;
  primary_goal: string | null;
  equivalence: number | null;
  variants: { label: string; trials: number; stray: boolean }[];
  variants_left_out: number;
  goals: Goal[];
  srm: { weights: Record<string, number>; p_value: number | null; alarm: boolean; reason: string | null };
  definition: Definition | null;
  ignored?: Ignored;
  plan: { visitors: number; final_look: { at: string; visitors: number } | null } | null;
  counting: { method: string; shards: number; relative_error: number };
}

export interface Meta extends Backlog {
  scope: string | null;
  key_scope: "owner" | "read";
  namespaces: string[];
  total: number;
  next: string | null;
}

/** What the address says. */
export interface View {
  namespace: string;
  experiment: string;
  goal: string;
  find: string;
  sort: string;
  show: string;
}

/** The last answer of the backend for a view: one experiment, or the meta data and all of a namespace. */
export interface Answer {
  data: any;
  at: number;
}

/** An answer besides the experiment. The backend may be of a version that does not know it. */
export interface Extra extends Answer {
  isUnknown?: boolean;
}

/** The state of the page. */
export interface App {
  view: View;
  answers: Map<string, Answer>;
  pages: number;
  missing: Set<string>;
  trouble: string | null;
  locked: "missing" | "wrong" | null;
  timer: number;
  top: number;
  request: AbortController | null;
}

export interface Scale {
  reach: number;
  ticks: number[];
  digits: number;
}

/** One snapshot of a history. */
export interface Point {
  at: number;
  rows: Map<string, HistoryRow>;
  isAfterGap: boolean;
  isAfterMissedHour: boolean;
}

/** One value of a line. */
export interface Moment {
  at: number;
  value: number | null;
  interval?: Interval | null;
  isAfterGap?: boolean;
}

/** How a variant is drawn in all charts. */
export interface Line {
  label: string;
  style: string;
  isShown: boolean;
}

export interface Series extends Line {
  hasBand: boolean;
  values: Moment[];
}

export interface Mark {
  at: number;
  text: string;
}

export interface Chart {
  id: string;
  title: string;
  note?: string;
  series: Series[];
  marks: Mark[];
  from: number;
  to: number;
  low: number;
  high: number;
  write: { format: (value: number) => string };
  time: Intl.DateTimeFormat;
  describe: (moment: Moment) => string;
}

export type Child = Node | string | number | false | null | undefined | Child[];
export type Attributes = Record<string, string | number | boolean | null | undefined>;
/** A control of a form. */
export type Field = Omit<HTMLInputElement, "type"> & Pick<HTMLSelectElement, "selectedOptions"> & { type: string };
/** A form whose controls are known by their names. */
export type Form = HTMLFormElement & { readonly elements: any };
