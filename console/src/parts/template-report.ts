// What a version lacks, in words: what its reader had better know before it comes into use.
import type { LocaleReport } from "../api-types";
import { words } from "../words";

const say = words.templates;

export interface Reported {
  readonly locales?: readonly LocaleReport[] | undefined;
  readonly findings?: readonly unknown[] | undefined;
}

// `inUse` is the version that it takes the place of.
export function lacks(of: Reported, inUse: Reported | undefined): readonly string[] {
  const locales = of.locales ?? [];
  const has = new Set(locales.map((one) => one.locale));
  const untranslated = locales.filter((one) => (one.translated_messages ?? 0) < (one.messages ?? 0));
  const lost = (inUse?.locales ?? []).filter((one) => !has.has(one.locale));
  return [
    ...(untranslated.length ? [say.untranslated(untranslated.map((one) => `${one.locale} ${one.translated_messages ?? 0}/${one.messages}`))] : []),
    ...locales.flatMap((one) => (one.unused_variables?.length ? [say.unused(one.locale ?? "", one.unused_variables)] : [])),
    ...(lost.length ? [say.lost(lost.map((one) => one.locale ?? ""))] : []),
    ...(of.findings?.length ? [say.found(of.findings.length)] : []),
  ];
}
