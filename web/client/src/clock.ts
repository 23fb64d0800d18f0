/**
 * What is known of the service's clock. Date tells it in whole seconds, so an answer says that the offset lies in an interval, of a second
 * and the time of the call; what several answers allow is narrower than that.
 */
export class Clock {
  private least = -Infinity;
  private most = Infinity;

  /** Takes in an answer to what was sent at one instant and had come back at another, in ms of this machine's clock. */
  heard(date: string | null, sent: number, back: number): void {
    const second = Date.parse(date ?? "");
    if (Number.isNaN(second)) {
      return;
    }
    const least = second - back;
    const most = second + 1000 - sent;
    const fits = least <= this.most && most >= this.least; // or one of the clocks was set
    this.least = fits ? Math.max(this.least, least) : least;
    this.most = fits ? Math.min(this.most, most) : most;
  }

  /** By how many ms the service's clock is ahead; 0 while nothing is known. */
  get offset(): number {
    return this.most === Infinity ? 0 : (this.least + this.most) / 2;
  }
}
