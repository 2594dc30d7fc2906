"""The end of an audit, for a reader and for the exit status."""

import os
from dataclasses import dataclass
from typing import Any

SHOWN = 20  # problems in the text for the terminal


@dataclass(frozen=True)
class AuditSummary:
    """The end of an audit.

    Attributes:
        content: of audit.json.
        report: the folder of the report, or None.
        seconds: how long it took.
    """

    content: dict[str, Any]
    report: str | None
    seconds: float

    @property
    def exit_status(self) -> int:
        """0, or 1 where something is wrong with the output."""
        return int(self.content["account"]["exit_status"])

    def text(self) -> str:
        """Return the figures for a reader."""
        content, account = self.content, self.content["account"]
        search, coverage = content["search"], content["coverage"]
        lines = [
            f"images        {account['images']}: {account['hidden']} hidden, {account['copied']} copied, "
            f"{account['failed']} failed",
        ]
        if account["unsearched"]:
            lines.append(f"unsearched    {account['unsearched']} files or members, copied as they were")
        if coverage is not None:
            least = "" if coverage["least"] is None else f", the least covered by {coverage['least']:.1%}"
            lines.append(f"regions       {coverage['regions']} compared with the source{least}")
        else:
            lines.append("regions       not compared with the source, which --source SRC does")
        lines.append(f"near misses   {content['near_misses']} in {content['near_misses_images']} images")
        if search is not None:
            suspects = [len(one["suspects"]) for one in content["images"] if one["suspects"]]
            lines.append(f"suspects      {sum(suspects)} in {len(suspects)} of the {search['searched']} images drawn")
        total = len(account["problems"]) + account["problems_left_out"]
        lines.append(f"problems      {total}" + (", which is why the exit status is 1" if total else ""))
        lines += [f"  {one['kind']}: {one['sentence']}" for one in account["problems"][:SHOWN]]
        if total > SHOWN:
            lines.append(f"  and {total - SHOWN} more" + (", see audit.json" if self.report else ""))
        lines.append(f"time          {self.seconds:.1f} s")
        if self.report is None:
            lines.append("look at       nothing: no page was made, which the argument REPORT asks for")
        else:
            lines.append(
                f"look at       {os.path.join(self.report, 'index.html')}: it may show faces, keep it to yourself"
            )
        return "\n".join(line.encode("utf-8", "backslashreplace").decode() for line in lines)
