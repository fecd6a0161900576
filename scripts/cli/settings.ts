import { readSettings, type Settings } from '../../shared/platform/env.ts';

/** The service's settings, for a command that works on its servers. */
export function operatorSettings(): Settings {
  return readSettings(process.env, { knowsActors: false });
}

/** Runs a command that publishes: that is traced where `OTEL_EXPORTER_OTLP_ENDPOINT` says so. */
export async function traced<Result>(
  name: string,
  work: (settings: Settings) => Promise<Result>,
): Promise<Result> {
  const settings = operatorSettings();
  const { createLogger, startTelemetry } = await import(
    '../../shared/platform/telemetry/telemetry.ts'
  );
  const logger = createLogger(settings, name, process.stderr);
  const stopTelemetry = await startTelemetry(settings, name, logger, null);
  try {
    return await work(settings);
  } finally {
    await stopTelemetry();
  }
}
