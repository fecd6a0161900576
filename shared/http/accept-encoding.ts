/** Whether a request's Accept-Encoding takes a coding. */
export function takesEncoding(accepted: string | undefined, name: string): boolean {
  return (accepted ?? '').split(',').some((item) => {
    const [coding = '', ...parameters] = item.split(';').map((part) => part.trim().toLowerCase());
    return coding === name && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
  });
}
