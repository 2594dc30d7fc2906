// What the judged random sample says of all images; fastblur/audit/estimate.py is the same in Python.

/** The exact (Clopper-Pearson) one-sided upper bound of the share of images that show a face. */
function upperBound(shown, judged, confidence = 0.95) {
  if (shown >= judged) return 1;
  let low = shown / judged;
  let high = 1;
  for (let round = 0; round < 100; round++) {
    const share = (low + high) / 2;
    if (probabilityOfAtMost(shown, judged, share) > 1 - confidence) low = share;
    else high = share;
  }
  return high;
}

/** The binomial distribution function: at most `count` of `trials`, each with the chance `share` in (0, 1). */
function probabilityOfAtMost(count, trials, share) {
  const odds = Math.log(share) - Math.log1p(-share);
  let logarithm = trials * Math.log1p(-share);
  let sum = 0;
  for (let i = 0; i <= count; i++) {
    sum += Math.exp(logarithm);
    logarithm += Math.log((trials - i) / (i + 1)) + odds;
  }
  return sum;
}

/** A count as people read it: 10,000. */
function numeral(count) {
  return count.toLocaleString("en");
}

/** "4 in 1,000", rounded up, so that the number said is never under the bound. */
function inWords(share) {
  for (const of of [1000, 10000, 100000]) {
    const count = Math.ceil(share * of - 1e-9);
    if (count >= 3 || of === 100000) return `${numeral(count)} in ${numeral(of)}`;
  }
  return "";
}
