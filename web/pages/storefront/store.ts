/** What outlives a reload of the page, and ends with its tab. */
export function kept<T>(name: string): T | null {
  try {
    return JSON.parse(sessionStorage.getItem(`lastunit.${name}`) ?? "null") as T | null;
  } catch {
    return null;
  }
}

export function keep(name: string, value: unknown): void {
  try {
    if (value === null) {
      sessionStorage.removeItem(`lastunit.${name}`);
    } else {
      sessionStorage.setItem(`lastunit.${name}`, JSON.stringify(value));
    }
  } catch {
    // A browser that keeps nothing forgets at a reload; the service does not.
  }
}
