"""Assembly of every x87 and SSE instruction that can be compared with the host, one text for each form."""

from __future__ import annotations

PACKED_INTEGER = (
    "paddb paddw paddd paddq paddsb paddsw paddusb paddusw psubb psubw psubd psubq psubsb psubsw psubusb psubusw "
    "pcmpeqb pcmpeqw pcmpeqd pcmpgtb pcmpgtw pcmpgtd pavgb pavgw pminub pmaxub pminsw pmaxsw pmullw pmulhw pmulhuw "
    "pmuludq pmaddwd psadbw pand pandn por pxor packsswb packuswb packssdw punpcklbw punpcklwd punpckldq punpcklqdq "
    "punpckhbw punpckhwd punpckhdq punpckhqdq psllw pslld psllq psrlw psrld psrlq psraw psrad"
).split()
PACKED_FLOATING = (
    "andps andpd andnps andnpd orps orpd xorps xorpd unpcklps unpckhps unpcklpd unpckhpd addps addpd subps subpd "
    "mulps mulpd divps divpd minps minpd maxps maxpd sqrtps sqrtpd cvtdq2ps cvtps2dq cvttps2dq cvtpd2dq cvttpd2dq "
    "cvtpd2ps movaps movapd movdqa movups movupd movdqu"
).split()
SINGLES = "addss subss mulss divss minss maxss sqrtss comiss ucomiss cvtss2sd movss".split()
DOUBLES = "addsd subsd mulsd divsd minsd maxsd sqrtsd comisd ucomisd cvtsd2ss movsd cvtps2pd cvtdq2pd".split()
WITH_IMMEDIATE = "pshufd pshuflw pshufhw shufps shufpd cmpps cmppd".split()
SHIFTS = "psllw pslld psllq psrlw psrld psrlq psraw psrad pslldq psrldq".split()

SSE = (
    *(f"{m} xmm0, {s}" for m in (*PACKED_INTEGER, *PACKED_FLOATING) for s in ("xmm1", "xmmword ptr [rsi]")),
    *(f"{m} xmm0, {s}" for m in SINGLES for s in ("xmm1", "dword ptr [rsi]")),
    *(f"{m} xmm0, {s}" for m in DOUBLES for s in ("xmm1", "qword ptr [rsi]")),
    *(f"{m} xmm0, xmm1, {n}" for m in WITH_IMMEDIATE for n in (0, 1, 2, 3, 4, 5, 6, 7)),
    *(f"{m} xmm0, xmmword ptr [rsi], {n}" for m in WITH_IMMEDIATE[:5] for n in (0x1B, 0xE4, 0x93, 0x6C)),
    *(f"{m} xmm0, {s}, {n}" for m, s in (("cmpss", "xmm1"), ("cmpss", "dword ptr [rsi]")) for n in range(8)),
    *(f"{m} xmm0, {s}, {n}" for m, s in (("cmpsd", "xmm1"), ("cmpsd", "qword ptr [rsi]")) for n in range(8)),
    *(f"{m} xmm0, {n}" for m in SHIFTS for n in (0, 1, 7, 8, 9, 15, 16, 31, 32, 63, 64, 255)),
    *(f"{m} xmmword ptr [rsi], xmm0" for m in "movaps movapd movdqa movups movupd movdqu movntps movntpd movntdq".split()),
    "movss dword ptr [rsi], xmm0",
    "movsd qword ptr [rsi], xmm0",
    "movq xmm0, xmm1",
    "movq xmm0, qword ptr [rsi]",
    "movq qword ptr [rsi], xmm0",
    "movd xmm0, eax",
    "movq xmm0, rax",
    "movd eax, xmm0",
    "movq rax, xmm0",
    "movd dword ptr [rsi], xmm0",
    "movhlps xmm0, xmm1",
    "movlhps xmm0, xmm1",
    *(f"{m} xmm0, qword ptr [rsi]" for m in "movlps movhps movlpd movhpd".split()),
    *(f"{m} qword ptr [rsi], xmm0" for m in "movlps movhps movlpd movhpd".split()),
    *(f"{m} eax, xmm0" for m in "movmskps movmskpd pmovmskb".split()),
    "movnti dword ptr [rsi], eax",
    "movnti qword ptr [rsi], rax",
    *(f"pinsrw xmm0, {s}, {n}" for s in ("eax", "word ptr [rsi]") for n in (0, 3, 4, 7, 13)),
    *(f"pextrw eax, xmm0, {n}" for n in (0, 3, 4, 7, 13)),
    *(f"{m} {r}, {s}" for m in "cvtss2si cvttss2si".split() for r in ("eax", "rax") for s in ("xmm1", "dword ptr [rsi]")),
    *(f"{m} {r}, {s}" for m in "cvtsd2si cvttsd2si".split() for r in ("eax", "rax") for s in ("xmm1", "qword ptr [rsi]")),
    *(f"{m} xmm0, {s}" for m in "cvtsi2ss cvtsi2sd".split() for s in ("eax", "rax", "dword ptr [rsi]", "qword ptr [rsi]")),
    "ldmxcsr dword ptr [rsi + 60]",
    "stmxcsr dword ptr [rsi]",
)

ARITHMETIC = "fadd fmul fsub fsubr fdiv fdivr".split()
X87 = (
    *(f"{m} st, st({n})" for m in ARITHMETIC for n in (0, 1, 2)),
    *(f"{m} st(1), st" for m in ARITHMETIC),
    *(f"{m}p st(1), st" for m in ARITHMETIC),
    *(f"{m} {w} ptr [rsi]" for m in (*ARITHMETIC, "fcom", "fcomp", "fld", "fst", "fstp") for w in ("dword", "qword")),
    *(f"fi{m[1:]} {w} ptr [rsi]" for m in (*ARITHMETIC, "fcom", "fcomp", "fst", "fstp", "fld") for w in ("word", "dword")),
    "fild qword ptr [rsi]",
    "fistp qword ptr [rsi]",
    "fld tbyte ptr [rsi]",
    "fstp tbyte ptr [rsi]",
    "fbld tbyte ptr [rsi]",
    "fbstp tbyte ptr [rsi]",
    *"fsqrt frndint fscale fprem fprem1 fxtract fxam ftst fabs fchs fnop fincstp fdecstp fcompp fucompp".split(),
    *"fld1 fldz fldpi fldl2e fldl2t fldlg2 fldln2 fninit fnclex".split(),
    *(f"{m} st(1)" for m in "fcom fcomp fucom fucomp fxch ffree fld fst fstp ffreep".split()),
    *(f"{m} st, st({n})" for m in "fcmovb fcmove fcmovbe fcmovu fcmovnb fcmovne fcmovnbe fcmovnu".split() for n in (1, 3)),
    *(f"{m} st, st(1)" for m in "fcomi fcomip fucomi fucomip".split()),
    "fnstcw word ptr [rsi]",
    "fnstsw word ptr [rsi]",
    "fnstsw ax",
    "fldcw word ptr [rsi + 62]",
)
