"""Functions of on-demand feature views: one that makes a frame of several columns becomes one function a column.

Feast gives a function a pandas frame of all inputs; ours is given an array of each. What is plain arithmetic of columns
means the same of both, and is taken over. Anything else is left to people.
"""

import ast
import copy
from collections.abc import Iterator, Mapping, Sequence

METHODS = frozenset(("astype", "clip", "round"))
"""What frames' columns and arrays do alike, of numbers."""

FLOATS = ("float", "np.float64", "numpy.float64", "'float64'", "'float'")
"""Types of `astype` that change no value here: arrays of numbers are float64 already."""


class _OtherwiseError(Exception):
    """It is more than arithmetic of columns."""


def taken_over(function: ast.FunctionDef, outputs: Sequence[str]) -> Mapping[str, tuple[list[str], str]]:
    """Return for each output the columns that it is made of, in their order, and the expression that makes it.

    Args:
        function: A function of one frame that returns another.
        outputs: The columns that it makes; what is not among the result must be written by hand.
    """
    try:
        columns = _columns(function)
    except _OtherwiseError:
        return {}
    found: dict[str, tuple[list[str], str]] = {}
    for name in outputs:
        made = columns.get(name)
        if isinstance(made, ast.expr):
            used = dict.fromkeys(_names(made))
            if used:
                found[name] = [*used], ast.unparse(made)
    return found


def _names(node: ast.AST) -> Iterator[str]:
    """Iterate over the names in an expression, as they stand: those of columns, as all others are gone."""
    if isinstance(node, ast.Name):
        yield node.id
    for child in ast.iter_child_nodes(node):
        yield from _names(child)


def _columns(function: ast.FunctionDef) -> dict[str, ast.expr | None]:
    """Return the columns that a function puts into the frame that it returns, as expressions of its inputs'.

    Raises:
        _OtherwiseError: It does more than that.
    """
    if len(function.args.args) != 1 or not isinstance(function.body[-1], ast.Return):
        raise _OtherwiseError
    reading = _Reading(function.args.args[0].arg)
    for node in function.body[:-1]:
        reading.statement(node)
    returned = function.body[-1].value
    if not isinstance(returned, ast.Name) or returned.id != reading.frame:
        raise _OtherwiseError
    return reading.columns


class _Reading:
    """Reads the lines of a function."""

    def __init__(self, inputs: str) -> None:
        self.inputs = inputs
        self.frame = ""
        self.columns: dict[str, ast.expr | None] = {}
        self.names: dict[str, ast.expr] = {}

    def statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                pass
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Attribute(attr="DataFrame"), args=[])):
                if self.frame or node.value.keywords:  # type: ignore[union-attr] - it is a call
                    raise _OtherwiseError
                self.frame = name
            case ast.Assign(targets=[ast.Name(id=name)]):
                self.names[name] = self.expression(node.value)
            case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=frame), slice=ast.Constant(value=str(name)))]):
                if frame != self.frame:
                    raise _OtherwiseError
                self.columns[name] = self.tried(node.value)
            case _:
                raise _OtherwiseError

    def tried(self, node: ast.expr) -> ast.expr | None:
        """Return an expression of the inputs; None if this one column is more than that."""
        try:
            return self.expression(node)
        except _OtherwiseError:
            return None

    def expression(self, node: ast.expr) -> ast.expr:
        match node:
            case ast.Constant(value=bool() | int() | float()):
                return node
            case ast.Subscript(value=ast.Name(id=frame), slice=ast.Constant(value=str(name))):
                return self.column(frame, name)
            case ast.Name(id=name) if name in self.names:
                return copy.deepcopy(self.names[name])
            case ast.BinOp(op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div()):
                return ast.BinOp(self.expression(node.left), node.op, self.expression(node.right))
            case ast.UnaryOp(op=ast.USub()):
                return ast.UnaryOp(node.op, self.expression(node.operand))
            case ast.Compare(ops=[ast.Lt() | ast.LtE() | ast.Gt() | ast.GtE()], comparators=[other]):
                return ast.Compare(self.expression(node.left), node.ops, [self.expression(other)])
            case ast.Call(func=ast.Attribute(attr=method), keywords=[]) if method in METHODS:
                return self.method(node, method)
            case _:
                raise _OtherwiseError

    def column(self, frame: str, name: str) -> ast.expr:
        """Return a column of the inputs, or one that was made before."""
        if frame == self.inputs and name.isidentifier():
            return ast.Name(name, ast.Load())
        made = self.columns.get(name) if frame == self.frame else None
        if made is None:
            raise _OtherwiseError
        return copy.deepcopy(made)

    def method(self, node: ast.Call, method: str) -> ast.expr:
        func = node.func
        if not isinstance(func, ast.Attribute):
            raise _OtherwiseError
        of = self.expression(func.value)
        if method == "astype":
            if [ast.unparse(each) for each in node.args] not in ([each] for each in FLOATS):
                raise _OtherwiseError
            return of
        return ast.Call(ast.Attribute(of, method, ast.Load()), [self.expression(each) for each in node.args], [])
