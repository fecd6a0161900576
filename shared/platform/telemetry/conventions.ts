/** Which of OpenTelemetry's conventions our names follow: with it a collector can translate them. */
export const schemaUrl = 'https://opentelemetry.io/schemas/1.45.0';
