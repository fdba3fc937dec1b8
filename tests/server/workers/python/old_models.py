"""Models as scikit-learn 1.2.2 saved them, packed by zlib and written in base 85. They were made by this program:

import base64, pickle, zlib
import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 0, 1, 1])
for model in (DecisionTreeClassifier(max_depth=1), make_pipeline(SimpleImputer(), LogisticRegression())):
    print(base64.b85encode(zlib.compress(pickle.dumps(model.fit(X, y), 4), 9)).decode())
"""

from __future__ import annotations

import base64
import zlib

_TREE = (
    "c-oy*&1w`u5Z>9JWH-jJ3L7ILh!9yXLkuW62oY9LGr9*A54kkGv%TrY`J=lhx}czkBrfzV<vaKoK8jD^*^{xlcP8v65y3i4QPuVHRn^CQs(<"
    "}iuQ)Ls^)_NuCcc)8`6P^}QcQtaeau3kM4G%tf6scwNH7V<aQ8EOgsy3YQfMYI0!)2RBmzuRWs%V6M9+XJ4W<>-_hiU2%^~p2l~^Q1(Kw5kA"
    "}$t!s%g)95zEMiu36_hCib`{BS}MzeWs63DutM3TYSW*&Ltx5n-y!@7?Pwz=UJ9C8KyB&nreo2$5s__mLv2r;tD0Bip`dE^B0XVp%sQ1p;5-"
    "^OwdYl+Ld5E3wJ3YX|A(eD`z%~H4-qLB#*PPAEuJ|aUN+wrKDpp%S5s;O_Y{-sBx>N;R3-dCc|mSF$9$Z=y?M;f|t+@yr6mj{JLoj^*CcTr7"
    "E^y@@4v3Gu}h!_xn31DDD$fGz=!ac8S|7G@#o8KE=pa&4LPPMD2C?daqe6BM-5(xjegOH(tYX1!ucD&mH^4%Ui-&@E%{|H|z-fW;uX|#`<KY"
    "0YV8p`-+U>Ew@NK9SPGsL2lG=DejWzE7j1rZEA1sKbYOX2k3XrQp84@gj_^JFqfpGP+=_=V<0g#$7y(Kz0HylU{C7+6m$f0ZAt|;Bxhc<gZv"
    "ah%w2)sIe&woatQnxe-$)Q@1Sm@4s7P=Uzuwd`JC?tw@|;p%r5Fa+8c+E2V1y@w!87S^0wt-=jGS-RR7qn&-vSrPR_{hLKgwwD;L-O?>xu7g"
    "?$?37hlzq{0R8&q_<I~{6(J?S2`b<HYrF+_L)@f@6@>GZ~B{%5Bxt9V#1p"
)
_IMPUTER = (
    "c-n<hO>5LZ7~X7myUX^2YE`7vo<!=wNEZ<gLJxZ=nzBgsD#L6tn~a@g!px*~58@ZCT^LV&{S%)22mTOmdKAQy6fgBnve^nM&LNpe-uHQ*d7k"
    "G*<6XB=E0$f-yMj@bxG7JW;0XiUeo$?X;rdH>2J5z|4NEmV#_fXUaVi)-GQ$+u3l%{5#U%r(5oF<EQFd=qHbq*Dxz;=h$sQFM)3EjYWWr>D1"
    "_9woz<p|@g0WrRWh^BuPR)o688w;0`mt?mqo`rw2y7!}Gy&Tgav@4U=-bvFQv;cE=macP4B=RSwZ2S8aAX&gDHu*8;5oKKhTM?Aj8bfBCRvP"
    "ywppH!!PbX&V0`ojc3|C`vCduS_xtxxaTO1*W?*1DQ{n_E%xOan*M|F=fW25Cy1rD*jWc05Rf^(-d4l9*g4fA>gM*^Wwv`0s&tvdv2hei{P|"
    "kHc=K!KB<6gT|>tqx1u}fs4KEX?CE>Vo;hTC<!kPQyOo)<DKXebuqeanKi%COvGsz@vYCR|dLV%PR$yK~kx^{<t(gbIW7>!ORQ1{oD-%8Zc$"
    "wl-I8fBw4KyJ4Lk9==z`=IZhUW8kyYpatiq2cmt7G{W44d0$Yi$v)#@WKhI;MUz0rB-b+cbyiEUmnW_%2E$NePGkC%@H|~!VCM>DNr8d1Xl5"
    "it%U;cP_NgjBltG@e33(z18sXYvgJ6!hgno1h$G3}C3<X42qiebP(R!tQ9S<wE&VS26wDxBT#=WK5WI2;};ZiFpX#Ne^nIPZ#A9ABrp*4NUh"
    "JVHKoWn9BueLuuT7Cbm%t+@<?SBx+Ti$;7^7HlSkB@mv<VH91{4hHkvskJTO0+yKzq-Ew2KcCv"
)
TREE = zlib.decompress(base64.b85decode(_TREE))
"""A tree, which no scikit-learn from 1.3 on can read."""
IMPUTER = zlib.decompress(base64.b85decode(_IMPUTER))
"""A pipeline that can be read and fails when it is asked."""
