const repositoryPart = '\n## In the repository\n';

/**
 * What `llms.txt` tells machines, see https://llmstxt.org, without its links to files of the
 * repository: those are not served.
 */
export function machineText(llms: string): string {
  return llms.split(repositoryPart)[0] ?? '';
}
